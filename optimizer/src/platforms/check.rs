//! Whether what a platform's file says can be true.

use crate::platforms::file::{
    CellsSection, FieldPath, Period, PlatformFault, PlatformFile, PriceSection, RatioSection,
    SizesSection, SpaceSection,
};
use crate::platforms::{Mismatch, Platform, check_together};
use crate::price::PriceBook;
use crate::space::{Cells, Definition, Offer, ResourceSpace, Sizes};
use crate::units::{MemoryMb, PicoUsd};

/// Sizes of one dimension at most: 200 vCPU in thousandths, or 195 GB in steps of 1 MB. More
/// would only cost memory.
const MOST_SIZES: u32 = 200_000;
/// Longest billing interval and minimum, a day, in milliseconds.
const LONGEST_MS: f64 = 86_400_000.0;
/// Highest price, in the book's unit: so many for a second would not fit into results.
const HIGHEST_PRICE: f64 = 1e6;

/// How sizes of one dimension are counted.
#[derive(Clone, Copy, Debug)]
struct Unit {
    name: &'static str,
    /// Parts of one that are counted.
    parts: f64,
    next_step: &'static str,
}

const MEMORY: Unit =
    Unit { name: "MB", parts: 1.0, next_step: "write a whole number of MB from 1 up" };
const VCPU: Unit = Unit {
    name: "vCPU",
    parts: 1_000.0,
    next_step: "write a number of vCPU from 0.001 up with three decimals at most",
};

impl PlatformFile {
    /// The platform that the file describes.
    ///
    /// # Errors
    /// If it contradicts itself or cannot be true: the first fault there is.
    pub fn check(self) -> Result<Platform, PlatformFault> {
        let root = FieldPath::default();
        check_name(&root.key("name"), &self.name)?;
        if self.space.is_none() && self.prices.is_empty() {
            return Err(root.key("name").fault(
                "names a platform without a space and without prices",
                "add `space`, `prices` or both",
            ));
        }
        let space = self.space.map(|space| space.check(&self.name, &root.key("space")));
        let space = space.transpose()?;
        let mut prices = Vec::new();
        for (name, section) in self.prices {
            let path = root.key("prices").key(&name);
            check_name(&path, &name)?;
            let book = section.check(name, &path)?;
            if let Some(space) = &space {
                check_fit(space, &book, &path.key("vcpu"))?;
            }
            prices.push(book);
        }
        Ok(Platform { name: self.name, notes: self.notes, space, prices })
    }
}

fn check_fit(
    space: &ResourceSpace,
    book: &PriceBook,
    path: &FieldPath,
) -> Result<(), PlatformFault> {
    let error = match check_together(space, book) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    Err(match error {
        Mismatch::VcpuIsBundled { .. } => path.fault(
            "has a price, though vCPU comes with the memory here",
            "write 0, or list `cells` in `space` if vCPU can be chosen",
        ),
        Mismatch::VcpuIsFree { .. } => path.fault(
            "costs nothing, though it can be chosen here: the largest would always be the best",
            "write its price, or `bundled` in `space` if vCPU comes with the memory",
        ),
    })
}

impl SpaceSection {
    fn check(self, name: &str, path: &FieldPath) -> Result<ResourceSpace, PlatformFault> {
        check_origin(path, &self.source, &self.date)?;
        let memory_per_vcpu = MEMORY.read(&path.key("memoryPerVcpu"), self.memory_per_vcpu)?;
        let offer = match (self.bundled, self.cells) {
            (Some(memory), None) => Offer::Bundled(memory.check(&path.key("bundled"), MEMORY)?),
            (None, Some(cells)) => Offer::Cells(check_cells(&path.key("cells"), &cells)?),
            (None, None) => {
                return Err(path.fault(
                    "offers nothing",
                    "add `bundled` with the memory sizes where vCPU follows from the memory, or \
                     `cells` where it can be chosen",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(path.fault(
                    "has both `bundled` and `cells`",
                    "leave `bundled` where vCPU follows from the memory, else `cells`",
                ));
            }
        };
        let Self { source, date, .. } = self;
        let memory_per_vcpu = MemoryMb(memory_per_vcpu);
        Ok(Definition { name: name.to_owned(), source, date, memory_per_vcpu, offer }.into())
    }
}

fn check_cells(path: &FieldPath, cells: &[CellsSection]) -> Result<Vec<Cells>, PlatformFault> {
    if cells.is_empty() {
        return Err(path.fault("is empty", "list at least one vCPU and memory"));
    }
    let rows = cells.iter().enumerate();
    rows.map(|(index, cells)| cells.check(&path.index(index))).collect()
}

impl CellsSection {
    fn check(&self, path: &FieldPath) -> Result<Cells, PlatformFault> {
        let ratio_path = path.key("memoryPerVcpu");
        let ratio = |ratio: RatioSection| match ratio {
            RatioSection::One(one) => MEMORY.read(&ratio_path, one).map(|mb| (mb, mb)),
            RatioSection::Range { from, to } => {
                let least = MEMORY.read(&ratio_path.key("from"), from)?;
                let most = MEMORY.read(&ratio_path.key("to"), to)?;
                if least > most {
                    let message = format!("goes from {least} down to {most} MB");
                    return Err(ratio_path.fault(message, "swap the two"));
                }
                Ok((least, most))
            }
        };
        let cells = Cells {
            vcpu: self.vcpu.check(&path.key("vcpu"), VCPU)?,
            memory: self.memory.check(&path.key("memory"), MEMORY)?,
            memory_per_vcpu: self.memory_per_vcpu.map(ratio).transpose()?,
        };
        if cells.vcpu_sizes().next().is_none() {
            return Err(ratio_path.fault(
                "leaves no memory size for any vCPU of this entry",
                "widen the ratio, or correct the sizes of vCPU and memory beside it",
            ));
        }
        Ok(cells)
    }
}

impl SizesSection {
    fn check(self, path: &FieldPath, unit: Unit) -> Result<Sizes, PlatformFault> {
        let (from, to, step) = match self {
            Self::One(one) => return unit.read(path, one).map(Sizes::one),
            Self::Range { from, to, step } => (from, to, step),
        };
        let smallest = unit.read(&path.key("from"), from)?;
        let largest = unit.read(&path.key("to"), to)?;
        if smallest > largest {
            return Err(path.fault(format!("goes from {from} down to {to}"), "swap the two"));
        }
        let step_units = unit.read(&path.key("step"), step)?;
        let Some(sizes) = Sizes::new(smallest, largest, step_units) else {
            let last = smallest + (largest - smallest) / step_units * step_units;
            let last = f64::from(last) / unit.parts;
            return Err(path.fault(
                format!("does not reach {to} from {from} in steps of {step}"),
                format!("end at {last}, or choose another step"),
            ));
        };
        if sizes.count() > MOST_SIZES {
            let message = format!("has {} sizes, more than {MOST_SIZES}", sizes.count());
            return Err(path.fault(message, "make the step larger"));
        }
        Ok(sizes)
    }
}

impl PriceSection {
    fn check(self, name: String, path: &FieldPath) -> Result<PriceBook, PlatformFault> {
        check_origin(path, &self.source, &self.date)?;
        if self.unit.trim().is_empty() {
            return Err(path.key("unit").fault("is empty", "name the currency, such as USD"));
        }
        let seconds = match self.per {
            Period::Second => 1.0,
            Period::Hour => 3_600.0,
        };
        let price = |key: &str, price: f64, per: f64| money(&path.key(key), price, per);
        let book = PriceBook {
            name,
            unit: self.unit,
            per_gb_second: price("gb", self.gb, seconds)?,
            per_vcpu_second: price("vcpu", self.vcpu, seconds)?,
            per_storage_gb_second: price("storageGb", self.storage_gb, seconds)?,
            per_request: price("request", self.request, 1.0)?,
            granularity_ms: milliseconds(&path.key("granularityMs"), self.granularity_ms, 1.0)?,
            minimum_ms: milliseconds(&path.key("minimumMs"), self.minimum_ms, 0.0)?,
            init_billed: self.init_billed,
            source: self.source,
            date: self.date,
        };
        if book.per_gb_second.0 == 0 && book.per_vcpu_second.0 == 0 {
            return Err(path.fault(
                "charges nothing for running, so no size is better than another",
                "write what `vcpu`, `gb` or both cost",
            ));
        }
        Ok(book)
    }
}

fn check_name(path: &FieldPath, name: &str) -> Result<(), PlatformFault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    Err(path.fault(format!("`{name}` is no name"), "use letters, digits, hyphens and underscores"))
}

/// Figures without an origin cannot be checked later.
fn check_origin(path: &FieldPath, source: &str, date: &str) -> Result<(), PlatformFault> {
    if source.trim().is_empty() {
        return Err(path.key("source").fault("is empty", "say where the figures are from"));
    }
    let parts: Vec<&str> = date.split('-').collect();
    let number = |index: usize, digits: usize| {
        let part = parts.get(index).filter(|part| part.len() == digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok())?
    };
    let valid = parts.len() == 3
        && number(0, 4).is_some()
        && number(1, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(2, 2).is_some_and(|day| (1..=31).contains(&day));
    match valid {
        true => Ok(()),
        false => Err(path.key("date").fault(
            format!("`{date}` is no day"),
            "write the day on which the figures held, as YYYY-MM-DD",
        )),
    }
}

impl Unit {
    /// A positive number of units, as a whole number of their parts.
    fn read(self, path: &FieldPath, given: f64) -> Result<u32, PlatformFault> {
        let scaled = given * self.parts;
        let rounded = scaled.round();
        // Decimals such as 0.07 are not exact, but closer than any that is meant to be another.
        let exact = (scaled - rounded).abs() < 1e-6;
        if exact && (1.0..=f64::from(u32::MAX)).contains(&rounded) {
            return Ok(rounded as u32);
        }
        Err(path.fault(format!("cannot be {given} {}", self.name), self.next_step))
    }
}

fn money(path: &FieldPath, price: f64, seconds: f64) -> Result<PicoUsd, PlatformFault> {
    if !price.is_finite() || price < 0.0 {
        return Err(path.fault(format!("cannot be {price}"), "write what it costs, or 0"));
    }
    if price > HIGHEST_PRICE {
        return Err(path.fault(
            format!("is {price}, more than {HIGHEST_PRICE}"),
            "choose a larger `unit`, such as a million of your currency",
        ));
    }
    let pico = (price / seconds * 1e12).round();
    if pico == 0.0 && price > 0.0 {
        return Err(path.fault(
            format!("is {price}, less than can be counted"),
            "choose a smaller `unit`, such as a millionth of your currency",
        ));
    }
    Ok(PicoUsd(pico as u64))
}

fn milliseconds(path: &FieldPath, ms: f64, least: f64) -> Result<u64, PlatformFault> {
    if ms.fract() == 0.0 && (least..=LONGEST_MS).contains(&ms) {
        return Ok(ms as u64);
    }
    Err(path.fault(
        format!("cannot be {ms}"),
        format!("write whole milliseconds from {least} to {LONGEST_MS}"),
    ))
}

#[cfg(test)]
mod tests;
