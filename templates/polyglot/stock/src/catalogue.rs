//! What the shop sells, and how much of it is on the shelf before anybody buys.

use serde::{Deserialize, Serialize};

/// How an item is taxed. What that means in money depends on the country, which is not known here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaxClass {
    /// Most goods.
    Standard,
    /// Food and books.
    Reduced,
}

/// Something to buy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Stock keeping unit: its identifier.
    pub sku: String,
    /// Name for people.
    pub name: String,
    /// Price of one without tax, in euro cents.
    pub unit_price_cents: u32,
    /// Weight of one with its packing, in grams.
    pub weight_grams: u32,
    /// How it is taxed.
    pub tax_class: TaxClass,
}

/// An item and how many of it are free to be reserved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shelf {
    /// The item.
    pub item: Item,
    /// Pieces that nobody has reserved.
    pub available: u32,
}

/// More than any number of requests takes away between two preparations.
const PLENTY: u32 = 100_000_000;

/// The shelves as they are filled before a load.
pub fn shelves() -> Vec<Shelf> {
    use TaxClass::{Reduced, Standard};
    [
        ("BOOK-12", "Field guide to mosses", 2400, 610, Reduced, PLENTY),
        ("CHAIR-09", "Reading chair", 18_900, 9_400, Standard, PLENTY),
        ("GLOBE-02", "Globe, 30 cm", 7900, 1_850, Standard, 0),
        ("LAMP-03", "Desk lamp", 5990, 2_300, Standard, PLENTY),
        ("MUG-01", "Enamel mug", 1290, 380, Standard, PLENTY),
        ("PEN-05", "Fountain pen", 3450, 45, Standard, PLENTY),
        ("TEA-07", "Darjeeling, 100 g", 945, 130, Reduced, PLENTY),
    ]
    .into_iter()
    .map(|(sku, name, unit_price_cents, weight_grams, tax_class, available)| Shelf {
        item: Item {
            sku: sku.to_owned(),
            name: name.to_owned(),
            unit_price_cents,
            weight_grams,
            tax_class,
        },
        available,
    })
    .collect()
}
