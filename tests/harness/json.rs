//! Just enough of JSON (RFC 8259) and of JSON Schema to check what sexton writes against what
//! docs/logging.md promises.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// Reads one value, which must be all of the text.
#[track_caller]
pub fn parse(text: &str) -> Json {
    let mut rest = text.chars().peekable();
    let value = value(&mut rest).unwrap_or_else(|| panic!("no JSON: {text}"));
    skip_blanks(&mut rest);
    assert_eq!(rest.next(), None, "something is behind the value: {text}");
    value
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|character| " \t\r\n".contains(*character)).is_some() {}
}

fn value(rest: &mut Peekable<Chars<'_>>) -> Option<Json> {
    skip_blanks(rest);
    match *rest.peek()? {
        '{' => {
            let mut object = BTreeMap::new();
            items(rest, '}', |rest| {
                skip_blanks(rest);
                let key = string(rest)?;
                skip_blanks(rest);
                rest.next_if_eq(&':')?;
                let value = value(rest)?;
                assert_eq!(object.insert(key.clone(), value), None, "{key} is there twice");
                Some(())
            })?;
            Some(Json::Object(object))
        }
        '[' => {
            let mut list = Vec::new();
            items(rest, ']', |rest| {
                list.push(value(rest)?);
                Some(())
            })?;
            Some(Json::List(list))
        }
        '"' => string(rest).map(Json::Text),
        _ => {
            let mut word = String::new();
            while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || "+-.".contains(*next)) {
                word.push(next);
            }
            match word.as_str() {
                "null" => Some(Json::Null),
                "true" => Some(Json::Bool(true)),
                "false" => Some(Json::Bool(false)),
                number => number.parse().ok().map(Json::Number),
            }
        }
    }
}

fn items(
    rest: &mut Peekable<Chars<'_>>,
    end: char,
    mut item: impl FnMut(&mut Peekable<Chars<'_>>) -> Option<()>,
) -> Option<()> {
    rest.next();
    skip_blanks(rest);
    if rest.next_if_eq(&end).is_some() {
        return Some(());
    }
    loop {
        item(rest)?;
        skip_blanks(rest);
        match rest.next()? {
            ',' => {}
            last if last == end => return Some(()),
            _ => return None,
        }
    }
}

fn string(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    rest.next_if_eq(&'"')?;
    let mut text = String::new();
    loop {
        text.push(match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = rest.take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                other if "\"\\/".contains(other) => other,
                _ => return None,
            },
            control if control < ' ' => return None,
            other => other,
        });
    }
}

impl Json {
    #[track_caller]
    pub fn object(&self) -> &BTreeMap<String, Json> {
        match self {
            Json::Object(object) => object,
            other => panic!("no object: {other:?}"),
        }
    }

    pub fn get(&self, key: &str) -> &Json {
        self.object().get(key).unwrap_or(&Json::Null)
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        match self {
            Json::Text(text) => text,
            other => panic!("no text: {other:?}"),
        }
    }

    pub fn list(&self) -> &[Json] {
        if let Json::List(list) = self { list } else { &[] }
    }
}

/// Panics unless the object is as the schema says: `type`, `enum`, `minimum`, `required` and
/// `additionalProperties: false` are looked at, and any other word is refused.
#[track_caller]
pub fn check(schema: &Json, object: &Json) {
    for word in schema.object().keys() {
        let known = ["$schema", "title", "description", "type", "required", "additionalProperties", "properties"];
        assert!(known.contains(&word.as_str()), "the checker does not know {word}");
    }
    for key in schema.get("required").list() {
        assert!(object.object().contains_key(key.text()), "{key:?} is missing: {object:?}");
    }
    assert_eq!(schema.get("additionalProperties"), &Json::Bool(false));
    for (key, value) in object.object() {
        let property = schema.get("properties").object().get(key);
        let property = property.unwrap_or_else(|| panic!("the schema has no {key}: {object:?}"));
        for (word, wanted) in property.object() {
            let holds = match (word.as_str(), value) {
                ("description" | "format", _) => true,
                ("type", Json::Text(_)) => wanted.text() == "string",
                ("type", Json::Bool(_)) => wanted.text() == "boolean",
                ("type", Json::Number(number)) => wanted.text() == "integer" && number.fract() == 0.0,
                ("enum", value) => wanted.list().contains(value),
                ("minimum", Json::Number(number)) => matches!(wanted, Json::Number(least) if number >= least),
                _ => false,
            };
            assert!(holds, "{key} is not as {word} says: {value:?}");
        }
    }
}
