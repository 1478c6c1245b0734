//! What each function of a project is charged: by the prices of its own architecture, and for its own /tmp.

use std::collections::BTreeMap;

use optimizer::price::PriceBook;
use optimizer::units::{PicoUsd, Resources};
use optimizer::workflow::TaskName;

use crate::choice::lambda_prices;
use crate::project::Project;

/// Prices of a project's functions.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// Of functions that are none of the project's.
    book: PriceBook,
    functions: BTreeMap<TaskName, Rate>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rate {
    book: PriceBook,
    /// In MB.
    storage_mb: u32,
}

impl From<PriceBook> for Rates {
    /// The same for every function, with no more /tmp than is free.
    fn from(book: PriceBook) -> Self {
        Self { book, functions: BTreeMap::new() }
    }
}

impl Rates {
    /// Of a project with one price book. Where that is Lambda's for one architecture, functions of the other have
    /// the other's.
    #[must_use]
    pub fn of(project: &Project, book: PriceBook) -> Self {
        let architectures = [PriceBook::lambda_x86(), PriceBook::lambda_arm64()];
        let is_lambda = architectures.contains(&book);
        let rate = |configuration: &optimizer::gate::Configuration| Rate {
            book: match is_lambda {
                true => lambda_prices(configuration.architecture),
                false => book.clone(),
            },
            storage_mb: configuration.ephemeral_storage_mb,
        };
        let functions =
            project.tasks.iter().map(|(name, task)| (name.clone(), rate(&task.configuration)));
        Self { functions: functions.collect(), book }
    }

    /// Time that an invocation of a function is billed, in milliseconds; see [`PriceBook::billed_ms_of_report`].
    pub(crate) fn billed_ms_of_report(
        &self,
        function: &TaskName,
        reported_ms: u64,
        duration_us: u64,
        init_us: Option<u64>,
    ) -> u64 {
        self.book_of(function).billed_ms_of_report(reported_ms, duration_us, init_us)
    }

    /// What an invocation of a function costs that was billed so long.
    pub(crate) fn cost(
        &self,
        function: &TaskName,
        resources: Resources,
        billed_ms: u64,
    ) -> PicoUsd {
        let book = self.book_of(function);
        let storage_mb = self.functions.get(function).map_or(0, |rate| rate.storage_mb);
        book.cost(resources, billed_ms) + book.storage_cost(storage_mb, billed_ms)
    }

    fn book_of(&self, function: &TaskName) -> &PriceBook {
        self.functions.get(function).map_or(&self.book, |rate| &rate.book)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use optimizer::space::ResourceSpace;
    use optimizer::units::MemoryMb;

    use super::*;

    #[test]
    fn functions_are_charged_by_their_architecture_and_storage() {
        let text = "name: w\nentry: a\nslo: { latency: 1s }\ndefaults: { runtime: provided.al2023, code: ./x }\ntasks:\n  a: { calls: { b: sync } }\n  b: { architecture: arm64, ephemeralStorage: 1536MB }\n";
        let file = Path::new("w.yaml");
        let project = Project::parse(file, Path::new("/"), text, &|_| None).unwrap();
        let resources = ResourceSpace::lambda().resources_for_memory(MemoryMb(1024));
        let (x86, arm) = (PriceBook::lambda_x86(), PriceBook::lambda_arm64());
        let rates = Rates::of(&project, x86.clone());
        assert_eq!(rates.cost(&"a".into(), resources, 1_000), x86.cost(resources, 1_000));
        // 1024 MB beyond what is free, for a second.
        let storage = PicoUsd(30_900);
        assert_eq!(rates.cost(&"b".into(), resources, 1_000), arm.cost(resources, 1_000) + storage);
        let thesis = Rates::of(&project, PriceBook::thesis_decoupled());
        let same = PriceBook::thesis_decoupled().cost(resources, 10);
        assert_eq!(thesis.cost(&"b".into(), resources, 10), same);
    }
}
