//! Access for serde to the lists, maps and enums of the tree.

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
    value::{StrDeserializer, StringDeserializer},
};

use super::{
    misfit::Misfit,
    refused,
    shape::Reader,
    yaml::{Entry, Node, Value},
};

/// The items of a list.
pub struct Items<'a> {
    pub reader: Reader<'a>,
    pub items: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
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
pub struct Fields<'a> {
    pub reader: Reader<'a>,
    pub entries: std::slice::Iter<'a, Entry>,
    pub value: Option<&'a Entry>,
    pub known: Option<&'static [&'static str]>,
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
pub struct Choice<'a> {
    pub name: &'a str,
    pub value: Option<Reader<'a>>,
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
pub struct Payload<'a>(Option<Reader<'a>>);

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
