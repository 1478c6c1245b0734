//! Conditions as the workflow file writes them: `/score >= 0.5 and not /label is null`.
//!
//! | form | holds if |
//! | --- | --- |
//! | `PLACE exists` | there is something at the place |
//! | `PLACE is null` (`boolean`, `number`, `string`) | that is what is there |
//! | `PLACE = VALUE` (`!=`, `<`, `<=`, `>`, `>=`) | it compares like that |
//! | `PLACE matches "a*"` | it is a string of that form; `*` stands for any text |
//! | `not C`, `C and C`, `C or C`, `(C)` | as usual; `not` binds closest, then `and` |
//!
//! A place is a JSON pointer; digits in it count a list's elements. A value is a string in quotes, a
//! number, `true`, `false`, `null` or another place.

use optimizer::flow::condition::{Comparison, Condition, Operand, OperandType, Test};
use optimizer::flow::path::{Part, Path};

/// Parentheses and `not`s within each other, at most.
const DEPTH_LIMIT: usize = 50;

/// The condition that a text is.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Condition, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
    let condition = reader.any()?;
    match reader.next() {
        None => Ok(condition),
        Some(token) => Err(format!("`{}` is too much", token.text())),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A word, an operator or a parenthesis.
    Word(String),
    Place(Path, String),
    Text(String),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(text) | Self::Place(_, text) | Self::Text(text) => text,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const OPERATORS: [&str; 9] = ["==", "!=", "<=", ">=", "=", "<", ">", "(", ")"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length;
        if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            length = operator.len();
            tokens.push(Token::Word((*operator).to_owned()));
        } else if first == '"' || first == '\'' {
            let inside = &rest[1..];
            let end = inside.find(first).ok_or_else(|| format!("{rest} has no closing quote"))?;
            length = end + 2;
            tokens.push(Token::Text(inside[..end].to_owned()));
        } else {
            let is_end = |c: char| c.is_whitespace() || "=!<>()\"'".contains(c);
            length = rest.find(is_end).unwrap_or(rest.len());
            if length == 0 {
                return Err(format!("`{first}` is not expected here"));
            }
            let word = &rest[..length];
            tokens.push(match word.strip_prefix('/') {
                Some(pointer) => Token::Place(place(pointer), word.to_owned()),
                None => Token::Word(word.to_owned()),
            });
        }
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The place of a JSON pointer, given without its first slash.
fn place(pointer: &str) -> Path {
    let part = |token: &str| match token.parse() {
        Ok(number) => Part::Element(number),
        Err(_) => Part::Field(token.replace("~1", "/").replace("~0", "~")),
    };
    Path(pointer.split('/').map(part).collect())
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Takes the next token if it is this word.
    fn takes(&mut self, word: &str) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Word(word.to_owned()));
        self.at += usize::from(is);
        is
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut conditions = vec![self.all()?];
        while self.takes("or") {
            conditions.push(self.all()?);
        }
        Ok(single(conditions, Condition::Or))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut conditions = vec![self.one()?];
        while self.takes("and") {
            conditions.push(self.one()?);
        }
        Ok(single(conditions, Condition::And))
    }

    fn one(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(format!("it nests deeper than {DEPTH_LIMIT} levels"));
        }
        let condition = if self.takes("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.takes("(") {
            let condition = self.any()?;
            if !self.takes(")") {
                return Err("a parenthesis is not closed".to_owned());
            }
            condition
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn test(&mut self) -> Result<Condition, String> {
        let (place, name) = match self.next() {
            Some(Token::Place(place, name)) => (place, name),
            Some(other) => {
                let text = other.text();
                return Err(format!("`{text}` is no place such as /order/total"));
            }
            None => return Err("a place such as /order/total is missing at the end".to_owned()),
        };
        let word = self.next();
        let word = word.as_ref().map(Token::text).unwrap_or_default();
        let test = match word {
            "exists" => Test::Present(true),
            "is" => self.kind()?,
            "matches" => match self.next() {
                Some(Token::Text(pattern)) => Test::Matches(pattern),
                _ => return Err("after `matches` stands a pattern in quotes".to_owned()),
            },
            "=" | "==" => return self.compared(place, Comparison::Equals),
            "!=" => {
                let equals = self.compared(place, Comparison::Equals)?;
                return Ok(Condition::Not(Box::new(equals)));
            }
            "<" => return self.compared(place, Comparison::Less),
            "<=" => return self.compared(place, Comparison::LessEquals),
            ">" => return self.compared(place, Comparison::Greater),
            ">=" => return self.compared(place, Comparison::GreaterEquals),
            _ => {
                return Err(format!(
                    "after {name} stands exists, is, matches, =, !=, <, <=, > or >="
                ));
            }
        };
        Ok(Condition::Is(place, test))
    }

    fn kind(&mut self) -> Result<Test, String> {
        let word = self.next();
        Ok(match word.as_ref().map(Token::text).unwrap_or_default() {
            "null" => Test::Null(true),
            "boolean" => Test::Boolean(true),
            "number" => Test::Numeric(true),
            "string" => Test::String(true),
            _ => return Err("after `is` stands null, boolean, number or string".to_owned()),
        })
    }

    fn compared(&mut self, place: Path, comparison: Comparison) -> Result<Condition, String> {
        let compare = |operand| Condition::Is(place.clone(), Test::Compare(comparison, operand));
        let operand = match self.next() {
            Some(Token::Text(text)) => Operand::String(text),
            Some(Token::Place(other, _)) => {
                // Whichever type both are of; another type does not compare.
                let types = [OperandType::Number, OperandType::String, OperandType::Boolean];
                let each = types.map(|kind| compare(Operand::Path(other.clone(), kind)));
                return Ok(Condition::Or(each.into()));
            }
            Some(Token::Word(word)) => match word.as_str() {
                "true" | "false" => Operand::Boolean(word == "true"),
                "null" if comparison == Comparison::Equals => {
                    return Ok(Condition::Is(place, Test::Null(true)));
                }
                number => match number.parse::<f64>() {
                    Ok(number) if number.is_finite() => Operand::Number(number),
                    _ => {
                        return Err(format!(
                            "`{number}` is no value: write a number, a string in quotes, true, \
                             false, null or a place"
                        ));
                    }
                },
            },
            None => return Err("a value is missing at the end".to_owned()),
        };
        Ok(compare(operand))
    }
}

/// Several conditions as one.
fn single(
    mut conditions: Vec<Condition>,
    combine: impl Fn(Vec<Condition>) -> Condition,
) -> Condition {
    match conditions.len() {
        1 => conditions.remove(0),
        _ => combine(conditions),
    }
}

#[cfg(test)]
mod tests {
    use optimizer::flow::Data;
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_as_they_read() {
        let data = Data::from(json!({
            "n": 3, "m": 3, "s": "abc", "b": true, "none": null, "l": [{"x": 1}], "a b": {"/": 2},
        }));
        for (text, expect) in [
            ("/n = 3", true),
            ("/n==3", true),
            ("/n != 3", false),
            ("/n > 2.5 and /n<=3", true),
            ("/n < -1", false),
            ("/n = /m", true),
            ("/n = /s", false),
            ("/s = 'abc'", true),
            ("/s >= \"abd\"", false),
            ("/s matches \"a*\"", true),
            ("/b = true", true),
            ("/none = null", true),
            ("/none is null", true),
            ("/n is number and /s is string and /b is boolean", true),
            ("/l/0/x exists", true),
            ("/l/1 exists", false),
            ("/x exists or /n = 3", true),
            ("not /x exists and /n = 4", false),
            ("not (/n = 3 and /n = 4)", true),
            ("/n = 4 and /n = 4 or /n = 3", true),
            ("/n = 3 or /n = 4 and /n = 4", true),
        ] {
            let condition = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(condition.holds(&data), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_said() {
        for (text, expect) in [
            ("", "a place such as /order/total is missing at the end"),
            ("n = 3", "`n` is no place such as /order/total"),
            ("/n", "after /n stands exists, is, matches, =, !=, <, <=, > or >="),
            ("/n is list", "after `is` stands null, boolean, number or string"),
            ("/n = x", "`x` is no value"),
            ("/n =", "a value is missing at the end"),
            ("/n < null", "`null` is no value"),
            ("/n = inf", "`inf` is no value"),
            ("/s = 'a", "'a has no closing quote"),
            ("(/n = 1", "a parenthesis is not closed"),
            ("/n = 1 2", "`2` is too much"),
            ("/n = 1 !", "`!` is not expected here"),
            ("/s matches /n", "after `matches` stands a pattern in quotes"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expect), "{text}: {error}");
        }
        let deep = format!("{}/n = 1{}", "(".repeat(60), ")".repeat(60));
        assert!(parse(&deep).unwrap_err().contains("deeper"));
    }
}
