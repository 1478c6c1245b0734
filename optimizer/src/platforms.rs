//! Platforms as data: what resources each offers and what it charges for them.
//!
//! A platform is a file ([`file`]), built in or a user's own, read and checked by the same code. The
//! built-in ones are in `src/platforms`; docs/PLATFORMS.md lists them and says how to write another.

mod check;
pub mod file;

use std::sync::LazyLock;

use crate::price::PriceBook;
use crate::space::ResourceSpace;
use file::PlatformFile;

/// The built-in files, in the order in which names are listed.
const BUILT_IN: [&str; 6] = [
    include_str!("platforms/lambda.json"),
    include_str!("platforms/lambda-managed-instances.json"),
    include_str!("platforms/cloud-run.json"),
    include_str!("platforms/function-compute.json"),
    include_str!("platforms/fargate.json"),
    include_str!("platforms/decoupled.json"),
];

static PLATFORMS: LazyLock<Vec<Platform>> = LazyLock::new(|| {
    let read = |text: &str| {
        let file: PlatformFile = serde_json::from_str(text).expect("a test reads every file");
        file.check().expect("a test checks every file")
    };
    BUILT_IN.iter().map(|text| read(text)).collect()
});

/// What a platform offers, and what it charges.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Platform {
    /// Its name; its space has the same.
    pub name: String,
    /// What has to be known about the figures.
    pub notes: Vec<String>,
    /// What can be chosen, if the file says it.
    pub space: Option<ResourceSpace>,
    /// What it charges, by price book; the first is meant where none is named.
    pub prices: Vec<PriceBook>,
}

/// A name that no built-in platform has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no {what} `{given}`; built in are {}", known.join(", "))]
pub struct UnknownName {
    /// What was looked for: `space` or `price book`.
    pub what: &'static str,
    /// What was given.
    pub given: String,
    /// The names there are.
    pub known: Vec<&'static str>,
}

/// Prices and a space that contradict each other.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// vCPU has a price of its own where it cannot be chosen.
    #[error("the prices `{prices}` charge for vCPU, which `{space}` brings with the memory")]
    VcpuIsBundled {
        /// Name of the price book.
        prices: String,
        /// Name of the space.
        space: String,
    },
    /// vCPU can be chosen and costs nothing: the largest would always be the best.
    #[error("the prices `{prices}` have none for vCPU, which `{space}` lets you choose")]
    VcpuIsFree {
        /// Name of the price book.
        prices: String,
        /// Name of the space.
        space: String,
    },
}

/// The built-in platforms.
#[must_use]
pub fn built_in() -> &'static [Platform] {
    &PLATFORMS
}

/// Names of the built-in spaces.
pub fn space_names() -> impl Iterator<Item = &'static str> {
    spaces().map(ResourceSpace::name)
}

/// Names of the built-in price books.
pub fn price_names() -> impl Iterator<Item = &'static str> {
    price_books().map(|book| book.name.as_str())
}

/// The built-in space of this name.
///
/// # Errors
/// If there is none; names those there are.
pub fn space(name: &str) -> Result<ResourceSpace, UnknownName> {
    let found = spaces().find(|space| space.name() == name).cloned();
    found.ok_or_else(|| unknown("space", name, space_names()))
}

/// The built-in price book of this name.
///
/// # Errors
/// If there is none; names those there are.
pub fn prices(name: &str) -> Result<PriceBook, UnknownName> {
    let found = price_books().find(|book| book.name == name).cloned();
    found.ok_or_else(|| unknown("price book", name, price_names()))
}

/// The platform that a built-in price book belongs to.
#[must_use]
pub fn of_prices(name: &str) -> Option<&'static Platform> {
    built_in().iter().find(|platform| platform.prices.iter().any(|book| book.name == name))
}

/// Checks that prices can be applied to what a space offers.
///
/// # Errors
/// If the prices charge for vCPU where it comes with the memory, or do not where it can be chosen.
pub fn check_together(space: &ResourceSpace, prices: &PriceBook) -> Result<(), Mismatch> {
    let (space_name, name) = (space.name().to_owned(), prices.name.clone());
    let priced = prices.per_vcpu_second.0 > 0;
    match (space.vcpu_is_bundled(), priced) {
        (true, true) => Err(Mismatch::VcpuIsBundled { prices: name, space: space_name }),
        (false, false) => Err(Mismatch::VcpuIsFree { prices: name, space: space_name }),
        _ => Ok(()),
    }
}

fn spaces() -> impl Iterator<Item = &'static ResourceSpace> {
    built_in().iter().filter_map(|platform| platform.space.as_ref())
}

fn price_books() -> impl Iterator<Item = &'static PriceBook> {
    built_in().iter().flat_map(|platform| &platform.prices)
}

fn unknown(
    what: &'static str,
    given: &str,
    known: impl Iterator<Item = &'static str>,
) -> UnknownName {
    UnknownName { what, given: given.to_owned(), known: known.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::Dimension;
    use crate::units::{MemoryMb, MilliVcpu, PicoUsd, Resources};

    fn resources(milli_vcpu: u32, memory_mb: u32) -> Resources {
        Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(memory_mb) }
    }

    #[test]
    fn every_built_in_file_is_right_and_names_are_unique() {
        for text in BUILT_IN {
            let file: PlatformFile = serde_json::from_str(text).unwrap();
            let platform = file.check().unwrap();
            let space = platform.space.unwrap();
            assert_eq!(space.name(), platform.name);
            for book in &platform.prices {
                assert_eq!(check_together(&space, book), Ok(()));
            }
        }
        let names: Vec<&str> = space_names().chain(price_names()).collect();
        for (names, count) in [(space_names().collect::<Vec<_>>(), 6), (price_names().collect(), 9)]
        {
            let unique: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!((names.len(), unique.len()), (count, count), "{names:?}");
        }
        for name in &names {
            assert!(space(name).is_ok() || prices(name).is_ok());
        }
    }

    #[test]
    fn the_documentation_lists_every_entry_with_its_source_and_date() {
        let documentation = include_str!("../../docs/PLATFORMS.md");
        let spaces = spaces().map(|it| (it.name(), it.date(), it.source()));
        let books =
            price_books().map(|it| (it.name.as_str(), it.date.as_str(), it.source.as_str()));
        for (name, date, source) in spaces.chain(books) {
            let row = format!("| {date} | {source} |");
            let found = documentation
                .lines()
                .any(|line| line.starts_with(&format!("| `{name}` |")) && line.ends_with(&row));
            assert!(found, "{name} with {row}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        assert_eq!(
            space("azure").unwrap_err().to_string(),
            "there is no space `azure`; built in are lambda, lambda-managed-instances, cloud-run, \
             function-compute, fargate, decoupled"
        );
        assert_eq!(
            prices("thesis-decoupled").unwrap_err().to_string(),
            "there is no price book `thesis-decoupled`; built in are lambda-x86, lambda-arm64, \
             lambda-managed-instances, cloud-run, cloud-run-instance, function-compute, \
             fargate-x86, fargate-arm64, thesis"
        );
    }

    #[test]
    fn spaces_offer_what_the_platforms_document() {
        let offered = |name: &str, milli_vcpu, memory_mb| {
            space(name).unwrap().check(resources(milli_vcpu, memory_mb)).is_ok()
        };
        for (name, milli_vcpu, memory_mb, expected) in [
            ("cloud-run", 80, 128, true),
            ("cloud-run", 79, 128, false),
            ("cloud-run", 499, 513, false),
            ("cloud-run", 500, 513, true),
            ("cloud-run", 999, 1_025, false),
            ("cloud-run", 1_000, 4_096, true),
            ("cloud-run", 1_000, 4_097, false),
            ("cloud-run", 1_001, 1_024, false),
            ("cloud-run", 3_000, 4_096, false),
            ("cloud-run", 4_000, 2_047, false),
            ("cloud-run", 8_000, 32_768, true),
            ("function-compute", 50, 128, true),
            ("function-compute", 50, 192, true),
            ("function-compute", 50, 256, false),
            ("function-compute", 75, 128, false),
            ("function-compute", 1_000, 1_024, true),
            ("function-compute", 1_000, 960, false),
            ("function-compute", 1_000, 4_096, true),
            ("function-compute", 16_000, 32_768, true),
            ("fargate", 250, 2_048, true),
            ("fargate", 250, 1_536, false),
            ("fargate", 8_000, 20_480, true),
            ("fargate", 8_000, 18_432, false),
            ("fargate", 16_000, 122_880, true),
            ("lambda-managed-instances", 1_000, 2_048, true),
            ("lambda-managed-instances", 1_000, 8_192, true),
            ("lambda-managed-instances", 1_000, 6_144, false),
            ("lambda-managed-instances", 500, 2_048, false),
            ("lambda-managed-instances", 16_000, 32_768, true),
        ] {
            let given = format!("{name}, {milli_vcpu}, {memory_mb} MB");
            assert_eq!(offered(name, milli_vcpu, memory_mb), expected, "{given}");
        }
    }

    #[test]
    fn prices_are_what_the_platforms_state() {
        // One vCPU and two GB for one hour, and one request.
        let hour = |name: &str| prices(name).unwrap().cost(resources(1_000, 2_048), 3_600_000);
        for (name, usd) in [
            ("lambda-managed-instances", 0.0350558 + 2.0 * 0.0033158 + 2e-7),
            ("cloud-run", 3_600.0 * (0.000024 + 2.0 * 0.0000025) + 4e-7),
            ("cloud-run-instance", 3_600.0 * (0.000018 + 2.0 * 0.000002)),
            ("function-compute", 3_600.0 * (0.00002 + 2.0 * 0.000003) + 1.5e-7),
            ("fargate-x86", 0.04048 + 2.0 * 0.004445),
            ("fargate-arm64", 0.03238 + 2.0 * 0.00356),
        ] {
            let charged = hour(name).usd();
            assert!((charged - usd).abs() < 1e-8, "{name} {charged} {usd}");
        }
        assert_eq!(prices("function-compute").unwrap().per_request, PicoUsd(150_000));
        assert_eq!(prices("fargate-x86").unwrap().billed_ms(1_000, None), 60_000);
        assert_eq!(prices("cloud-run").unwrap().billed_ms(101_000, Some(50_000)), 200);
    }

    #[test]
    fn prices_have_to_fit_the_space() {
        let together = |space_name, name| {
            let (space, prices) = (space(space_name).unwrap(), prices(name).unwrap());
            check_together(&space, &prices).map_err(|error| error.to_string())
        };
        assert_eq!(together("cloud-run", "thesis"), Ok(()));
        assert_eq!(together("lambda", "lambda-arm64"), Ok(()));
        assert_eq!(
            together("lambda", "thesis").unwrap_err(),
            "the prices `thesis` charge for vCPU, which `lambda` brings with the memory"
        );
        assert_eq!(
            together("decoupled", "lambda-x86").unwrap_err(),
            "the prices `lambda-x86` have none for vCPU, which `decoupled` lets you choose"
        );
        assert_eq!(space("lambda").unwrap().dimensions(), [Dimension::Memory]);
        assert_eq!(of_prices("thesis").map(|platform| platform.name.as_str()), Some("decoupled"));
    }
}
