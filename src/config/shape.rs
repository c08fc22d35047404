//! Reads the tree into the settings' structs by their own `Deserialize`. A value that does not fit
//! is a problem with its key path.
//!
//! Types are those of the struct, so `no` is text where text is expected, and a mistake where a
//! boolean is. Values with an expanded `${NAME}` are shown as they are written, never expanded.

use std::cell::RefCell;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
    value::{StrDeserializer, StringDeserializer},
};

use super::{
    misfit::Misfit,
    refused::{self, listed},
    yaml::{Entry, Node, Scalar, Value},
};
use crate::settings::Problem;

/// The number of problems in a file after which the rest is not examined.
const MAX_PROBLEMS: usize = 50;

/// Reads the settings, or reports everything in the tree that does not fit them.
pub fn read<T: DeserializeOwned>(tree: &Node) -> Result<T, Vec<Problem>> {
    let mut tree = tree.clone();
    let mut problems: Vec<Problem> = Vec::new();

    // Serde stops at the first value that does not fit, so that value is removed and the rest read
    // again.
    loop {
        let unknown = RefCell::new(Vec::new());
        let result = T::deserialize(Reader {
            node: &tree,
            path: String::new(),
            unknown: &unknown,
        });
        for problem in unknown.into_inner() {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        match result {
            Ok(settings) if problems.is_empty() => return Ok(settings),
            Ok(_) => return Err(problems),
            Err(misfit) => {
                let problem = misfit.into_problem();
                // A missing key is not a problem if it was removed here.
                let ours = problems
                    .iter()
                    .any(|other| other.key.starts_with(&problem.key));
                let cut = tree.cut(&problem.key);
                if !ours || !cut {
                    problems.push(problem);
                }
                if !cut || problems.len() >= MAX_PROBLEMS {
                    return Err(problems);
                }
            }
        }
    }
}

/// A value that is being read into the settings.
#[derive(Clone)]
pub struct Reader<'a> {
    pub node: &'a Node,
    pub path: String,
    /// The problems of keys that no struct knows. They are noted and skipped, so that all of them
    /// are reported at once.
    pub unknown: &'a RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    /// Returns the reader of a value below this one, with its own path.
    pub fn child(&self, node: &'a Node, segment: &str) -> Self {
        let dot = if self.path.is_empty() || segment.starts_with('[') {
            ""
        } else {
            "."
        };

        Self {
            node,
            path: format!("{}{dot}{segment}", self.path),
            unknown: self.unknown,
        }
    }

    /// Adds the place to a misfit, and hides what came from the environment.
    fn place<T>(&self, result: Result<T, Misfit>) -> Result<T, Misfit> {
        result.map_err(|mut misfit| {
            if misfit.key.is_none() {
                misfit.key = Some(self.path.clone());
                if let Value::Scalar(Scalar {
                    text,
                    written: Some(written),
                    ..
                }) = &self.node.value
                    && !text.is_empty()
                {
                    misfit.what = misfit.what.replace(text, written);
                    misfit.mend = misfit.mend.replace(text, written);
                }
            }
            misfit
        })
    }

    /// Reads a value. Errors from its type's own parser get this place, too.
    pub fn give<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Misfit> {
        let result = seed.deserialize(self.clone());
        self.place(result)
    }

    fn scalar(&self, expected: &str) -> Result<&'a Scalar, Misfit> {
        let found = match &self.node.value {
            Value::Scalar(scalar) if !scalar.is_nothing() => return Ok(scalar),
            Value::Scalar(_) => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a map of keys",
        };

        Err(Misfit::new(
            format!("found {found}, expected {expected}"),
            format!("give {expected}"),
        ))
    }

    fn number<N: std::str::FromStr>(&self, expected: &str) -> Result<N, Misfit> {
        let scalar = self.scalar(expected)?;
        let number = scalar.text.parse().ok().filter(|_| scalar.plain);
        number.ok_or_else(|| {
            Misfit::new(
                format!("this is not {expected}"),
                format!("give {expected}, without quotes"),
            )
        })
    }

    fn boolean(&self) -> Result<bool, Misfit> {
        let scalar = self.scalar("true or false")?;
        match scalar.text.as_str() {
            "true" if scalar.plain => Ok(true),
            "false" if scalar.plain => Ok(false),
            _ => Err(Misfit::new(
                "this is neither `true` nor `false`",
                "write `true` or `false`, without quotes",
            )),
        }
    }

    fn map<V: Visitor<'a>>(
        self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            // All keys of the section are commented out.
            Value::Scalar(scalar) if scalar.is_nothing() => &[],
            Value::List(_) => {
                return self.place(Err(de::Error::invalid_type(
                    de::Unexpected::Seq,
                    &"a map of keys",
                )));
            }
            Value::Scalar(_) => {
                return self.place(Err(Misfit::new(
                    "found a single value, expected a map of keys",
                    "write `key: value` lines below it, indented",
                )));
            }
        };

        let fields = Fields {
            reader: self.clone(),
            entries: entries.iter(),
            value: None,
            known,
        };

        self.place(visitor.visit_map(fields))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let read = self.number::<$type>($expected).and_then(|number| visitor.$visit(number));
            self.place(read)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Misfit;

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let read = self
            .boolean()
            .and_then(|boolean| visitor.visit_bool(boolean));
        self.place(read)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let read = self
            .scalar("text")
            .and_then(|scalar| visitor.visit_borrowed_str(&scalar.text));
        self.place(read)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.is_nothing() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let items = match &self.node.value {
            Value::List(items) => items.as_slice(),
            Value::Scalar(scalar) if scalar.is_nothing() => &[],
            Value::Map(_) => {
                return self.place(Err(Misfit::new(
                    "found a map of keys, expected a list",
                    "begin each item with `- `",
                )));
            }
            Value::Scalar(_) => {
                return self.place(Err(Misfit::new(
                    "found a single value, expected a list",
                    "write it in brackets: `[…]`",
                )));
            }
        };

        self.place(visitor.visit_seq(Items {
            reader: self.clone(),
            items: items.iter().enumerate(),
        }))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let (name, value) = match &self.node.value {
            Value::Map(entries) if entries.len() == 1 => {
                (entries[0].key.as_str(), Some(&entries[0].value))
            }
            Value::Scalar(scalar) if !scalar.is_nothing() => (scalar.text.as_str(), None),
            _ => {
                return self.place(Err(Misfit::new(
                    "this is not one of the allowed values",
                    format!("give one of {}", listed(variants)),
                )));
            }
        };

        let choice = Choice {
            name,
            value: value.map(|value| self.child(value, name)),
        };

        self.place(visitor.visit_enum(choice))
    }

    /// Reads a value of any type: YAML's core schema defines the meaning of a plain word.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.value {
            Value::Map(_) => self.map(None, visitor),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Scalar(scalar) if scalar.is_nothing() => visitor.visit_unit(),
            Value::Scalar(scalar) if !scalar.plain => self.deserialize_str(visitor),
            Value::Scalar(scalar) => match scalar.text.as_str() {
                "true" | "false" => self.deserialize_bool(visitor),
                text if text.parse::<i64>().is_ok() => self.deserialize_i64(visitor),
                text if text.parse::<f64>().is_ok_and(f64::is_finite) => {
                    self.deserialize_f64(visitor)
                }
                _ => self.deserialize_str(visitor),
            },
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// The items of a list.
struct Items<'a> {
    reader: Reader<'a>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        self.reader
            .child(item, &format!("[{index}]"))
            .give(seed)
            .map(Some)
    }
}

/// The keys of a map. For a struct, `known` are its own keys.
struct Fields<'a> {
    reader: Reader<'a>,
    entries: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
    known: Option<&'static [&'static str]>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        for entry in self.entries.by_ref() {
            if let Some(known) = self.known
                && !known.contains(&entry.key.as_str())
            {
                let path = self.reader.child(&entry.value, &entry.key).path;
                self.reader
                    .unknown
                    .borrow_mut()
                    .push(refused::unknown_key(path, &entry.key, known));
                continue;
            }
            // A key without a value means its default.
            if self.known.is_some()
                && matches!(&entry.value.value, Value::Scalar(scalar) if scalar.is_nothing())
            {
                continue;
            }
            self.value = Some(entry);
            let key: StrDeserializer<'_, Misfit> = entry.key.as_str().into_deserializer();
            return seed.deserialize(key).map(Some);
        }

        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let entry = self
            .value
            .take()
            .ok_or_else(|| Misfit::new("a value without its key", "write `key: value`"))?;
        self.reader.child(&entry.value, &entry.key).give(seed)
    }
}

/// A word of an enum, alone or with a value: `after: {move: Processed}`.
struct Choice<'a> {
    name: &'a str,
    value: Option<Reader<'a>>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Misfit;
    type Variant = Payload<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), Misfit> {
        let name: StringDeserializer<Misfit> = self.name.to_owned().into_deserializer();
        Ok((seed.deserialize(name)?, Payload(self.value)))
    }
}

/// The value of an enum's word, if it has one.
struct Payload<'a>(Option<Reader<'a>>);

impl<'de> VariantAccess<'de> for Payload<'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Misfit::new(
                "this word takes no value",
                "write the word alone",
            )),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        let value = self
            .0
            .ok_or_else(|| Misfit::new("this word needs a value", "write `{word: value}`"))?;
        value.give(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.struct_variant(&[], visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let value = self
            .0
            .ok_or_else(|| Misfit::new("this word needs a value", "write `{word: value}`"))?;
        de::Deserializer::deserialize_struct(value, "", fields, visitor)
    }
}
