//! IAM policies, as far as it takes to say which privileges one role has and another lacks.
//!
//! The comparison errs on the side of a difference: a privilege counts as had only if one statement
//! of the other policy covers it whole.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An identity-based policy.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Policy {
    /// Its statements.
    pub statements: Vec<Statement>,
}

/// One statement: every action on every resource.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Statement {
    /// What it does.
    pub effect: Effect,
    /// Actions such as `s3:Get*`; letter case does not matter.
    pub actions: Vec<String>,
    /// ARNs with `*` and `?`.
    pub resources: Vec<String>,
    /// Its `Condition` as JSON.
    pub condition: Option<String>,
}

/// What a statement does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Effect {
    /// Gives a privilege.
    Allow,
    /// Takes it, whatever else gives it.
    Deny,
}

/// One action on one resource, as it prints in texts: `s3:GetObject on arn:…`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Privilege {
    action: String,
    resource: String,
    condition: Option<String>,
}

impl Privilege {
    /// Whether having this one is having the other.
    fn covers(&self, other: &Self) -> bool {
        let action = |one: &Self| one.action.to_ascii_lowercase();
        covers(&action(self), &action(other))
            && covers(&self.resource, &other.resource)
            && (self.condition.is_none() || self.condition == other.condition)
    }

    /// Whether anything belongs to both.
    fn overlaps(&self, other: &Self) -> bool {
        let action = |one: &Self| one.action.to_ascii_lowercase();
        overlap(&action(self), &action(other)) && overlap(&self.resource, &other.resource)
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)?;
        self.condition.iter().try_for_each(|condition| write!(f, " if {condition}"))
    }
}

impl Policy {
    fn privileges(&self, effect: Effect) -> Vec<Privilege> {
        let statements = self.statements.iter().filter(|statement| statement.effect == effect);
        let each = |statement: &Statement| {
            let Statement { actions, resources, condition, .. } = statement.clone();
            actions.into_iter().flat_map(move |action| {
                let condition = condition.clone();
                resources.clone().into_iter().map(move |resource| Privilege {
                    action: action.clone(),
                    resource,
                    condition: condition.clone(),
                })
            })
        };
        statements.flat_map(each).collect()
    }

    /// What this policy allows and `other` does not, or denies, sorted.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Vec<Privilege> {
        let had = other.privileges(Effect::Allow);
        let denied_here = self.privileges(Effect::Deny);
        let mut denied_there = other.privileges(Effect::Deny);
        denied_there.retain(|denied| !denied_here.iter().any(|here| here.covers(denied)));
        let mut beyond = self.privileges(Effect::Allow);
        beyond.retain(|privilege| {
            !had.iter().any(|had| had.covers(privilege))
                || denied_there.iter().any(|denied| denied.overlaps(privilege))
        });
        beyond.sort();
        beyond.dedup();
        beyond
    }
}

/// Whether a pattern matches all that another one matches. `*` stands for any text and `?` for any
/// character.
fn covers(pattern: &str, other: &str) -> bool {
    let other: Vec<char> = other.chars().collect();
    // reached[i]: the pattern so far covers the first i characters of the other.
    let mut reached = vec![false; other.len() + 1];
    reached[0] = true;
    for sign in pattern.chars() {
        let mut next = vec![false; other.len() + 1];
        if sign == '*' {
            let mut any = false;
            for (next, reached) in next.iter_mut().zip(&reached) {
                any |= reached;
                *next = any;
            }
        } else {
            for (at, character) in other.iter().enumerate() {
                let same = sign == *character || sign == '?' && *character != '*';
                next[at + 1] = reached[at] && same;
            }
        }
        reached = next;
    }
    reached[other.len()]
}

/// Whether some text is matched by both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // reached[i][j]: the first i and the first j characters can match the same text.
    let mut reached = vec![vec![false; other.len() + 1]; one.len() + 1];
    reached[0][0] = true;
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            let star = |pattern: &[char], at: usize| at > 0 && pattern[at - 1] == '*';
            let (left, above) = (j > 0 && reached[i][j - 1], i > 0 && reached[i - 1][j]);
            let either_star = star(&one, i) || star(&other, j);
            let same = i > 0 && j > 0 && reached[i - 1][j - 1] && {
                let pair = [one[i - 1], other[j - 1]];
                pair[0] == pair[1] || pair.contains(&'?')
            };
            reached[i][j] |= either_star && (left || above) || same;
        }
    }
    reached[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statements: &[(Effect, &str, &str)]) -> Policy {
        let statement = |(effect, action, resource): &(Effect, &str, &str)| Statement {
            effect: *effect,
            actions: vec![(*action).to_owned()],
            resources: vec![(*resource).to_owned()],
            condition: None,
        };
        Policy { statements: statements.iter().map(statement).collect() }
    }

    #[test]
    fn a_pattern_covers_what_it_matches_and_no_wider_one() {
        for (pattern, other, expected) in [
            ("s3:*", "s3:GetObject", true),
            ("s3:Get*", "s3:Get*", true),
            ("s3:Get*", "s3:*", false),
            ("*", "s3:*", true),
            ("a?c", "abc", true),
            ("a?c", "a*c", false),
            ("a*c", "a?bc", true),
            ("abc", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(covers(pattern, other), expected, "{pattern} {other}");
        }
    }

    #[test]
    fn patterns_overlap_if_some_text_fits_both() {
        for (one, other, expected) in [
            ("s3:Get*", "s3:*Object", true),
            ("s3:Get*", "s3:Put*", false),
            ("a*", "*b", true),
            ("a?", "ab", true),
            ("abc", "abc", true),
            ("abc", "abd", false),
            ("*", "", true),
            ("a*c", "b*", false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn the_difference_names_what_is_not_covered_and_what_is_denied() {
        use Effect::{Allow, Deny};
        let check = |one: &Policy, other: &Policy, expected: &[&str]| {
            let beyond: Vec<String> = one.beyond(other).iter().map(ToString::to_string).collect();
            assert_eq!(beyond, expected);
        };
        let reads = policy(&[(Allow, "s3:GetObject", "arn:b/*")]);
        let all = policy(&[(Allow, "S3:*", "*")]);
        check(&reads, &all, &[]);
        check(&all, &reads, &["S3:* on *"]);
        let denied = policy(&[(Allow, "s3:*", "*"), (Deny, "s3:Get*", "arn:b/secret*")]);
        check(&reads, &denied, &["s3:GetObject on arn:b/*"]);
        check(&denied, &denied, &[]);
        let mut conditional = reads.clone();
        conditional.statements[0].condition = Some("{}".to_owned());
        check(&reads, &conditional, &["s3:GetObject on arn:b/*"]);
        check(&conditional, &reads, &[]);
    }
}
