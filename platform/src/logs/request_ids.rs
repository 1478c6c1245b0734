//! Numbers for request ids.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use uuid::Uuid;

/// Request ids, numbered from 0 in the order they are first named in. Almost all of them are UUIDs,
/// which take 16 bytes each and nine in the table.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestIds {
    numbers: HashTable<Entry>,
    /// By number; for an id that is no UUID, nothing that matters.
    uuids: Vec<u128>,
    other_numbers: BTreeMap<String, u32>,
    others: BTreeMap<u32, String>,
    /// The UUID found last. Lines that follow each other mostly name the same one again, and others
    /// that are new.
    recent: Option<(u128, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Kept because a table that grows would otherwise have to fetch every UUID.
    hash: u32,
    number: u32,
}

impl RequestIds {
    /// The number of an id, a new one if it has none.
    pub(super) fn number(&mut self, id: &str) -> u32 {
        let next = super::number(self.uuids.len());
        let Some(uuid) = uuid(id) else {
            return *self.other_numbers.entry(id.to_owned()).or_insert_with(|| {
                self.uuids.push(0);
                self.others.insert(next, id.to_owned());
                next
            });
        };
        if let Some((recent, number)) = self.recent
            && recent == uuid
        {
            return number;
        }
        if let Some(number) = self.find_uuid(uuid) {
            self.recent = Some((uuid, number));
            return number;
        }
        let hash = hash(uuid);
        let entry = Entry { hash, number: next };
        self.numbers.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
        self.uuids.push(uuid);
        next
    }

    /// The number of an id that has one.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        match uuid(id) {
            Some(uuid) => self.find_uuid(uuid),
            None => self.other_numbers.get(id).copied(),
        }
    }

    fn find_uuid(&self, uuid: u128) -> Option<u32> {
        let hash = hash(uuid);
        let same = |entry: &Entry| entry.hash == hash && self.uuids[entry.number as usize] == uuid;
        self.numbers.find(spread(hash), same).map(|entry| entry.number)
    }

    /// The id with a number.
    pub(super) fn id(&self, number: u32) -> String {
        match self.others.get(&number) {
            Some(other) => other.clone(),
            None => Uuid::from_u128(self.uuids[number as usize]).hyphenated().to_string(),
        }
    }
}

/// The value of a UUID that is written as Lambda writes them, so that no two ids have the same.
fn uuid(id: &str) -> Option<u128> {
    let as_written = id.len() == 36 && !id.bytes().any(|byte| byte.is_ascii_uppercase());
    Uuid::try_parse(id).ok().filter(|_| as_written).map(|uuid| uuid.as_u128())
}

/// Nearly all bits of these UUIDs are random, so that little is needed to mix them.
fn hash(uuid: u128) -> u32 {
    let folded = (uuid ^ (uuid >> 64)) as u64;
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// A hash for the table, which looks at both ends of it.
fn spread(hash: u32) -> u64 {
    (u64::from(hash) << 32) | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_numbers_and_read_back() {
        let mut ids = RequestIds::default();
        let names = [
            "dde1acb5-7158-4518-9547-a5beae8996d2",
            "r1",
            "00000000-0000-0000-0000-000000000000",
            // Another id than the first.
            "DDE1ACB5-7158-4518-9547-A5BEAE8996D2",
            "dde1acb5715845189547a5beae8996d2----",
            "",
        ];
        for _ in 0..2 {
            for (expect, name) in names.iter().enumerate() {
                let number = ids.number(name);
                assert_eq!(number as usize, expect, "{name}");
                assert_eq!(ids.find(name), Some(number));
                assert_eq!(ids.id(number), *name);
            }
        }
        assert_eq!(ids.find("r2"), None);
    }

    #[test]
    fn thousands_of_ids_are_told_apart() {
        let mut ids = RequestIds::default();
        let name = |at: u128| Uuid::from_u128((at << 64) | (at % 7)).hyphenated().to_string();
        for at in 0..5_000 {
            assert_eq!(u128::from(ids.number(&name(at))), at);
        }
        assert!((0..5_000).all(|at| ids.find(&name(at)).map(u128::from) == Some(at)));
    }
}
