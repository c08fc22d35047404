//! Lists of tags (RFC 6376, 3.2), parsed as strictly as signers write them. mail-auth accepts more.

/// A tag list, `name=value; …`, in the order written. Surrounding white space is removed.
pub struct Tags<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Tags<'a> {
    /// Parses a list. A repeated name makes the whole list invalid. The error says what is wrong.
    pub fn read(list: &'a [u8]) -> Result<Self, String> {
        let mut found = Self(Vec::new());
        // Records that end in `;;` exist, and nothing follows that could be misread.
        let end = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b';';
        let list = &list[..list.iter().rposition(end).map_or(0, |last| last + 1)];
        if list.is_empty() {
            return Ok(found);
        }

        for part in list.split(|byte| *byte == b';') {
            let part = part.trim_ascii();
            let equals = part
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or("a tag has no value")?;
            let (name, value) = (part[..equals].trim_ascii(), part[equals + 1..].trim_ascii());
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            if !name.first().is_some_and(u8::is_ascii_alphabetic) || !name.iter().all(plain) {
                return Err("a tag has no name".to_owned());
            }
            if found
                .0
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                return Err(format!(
                    "the tag {}= is given twice",
                    String::from_utf8_lossy(name)
                ));
            }
            found.0.push((name, value));
        }

        Ok(found)
    }

    /// Returns the value of a tag, whose name is case-insensitive as in mail-auth.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    /// Returns the first name.
    pub fn first(&self) -> Option<&'a [u8]> {
        self.0.first().map(|(name, _)| *name)
    }

    /// Returns whether a list in a value (`a:b`) contains one of these; `None` if the tag is
    /// missing.
    pub fn lists(&self, name: &str, any_of: &[&str]) -> Option<bool> {
        let value = self.value(name)?;
        let is_one = |item: &[u8]| {
            any_of
                .iter()
                .any(|one| item.trim_ascii().eq_ignore_ascii_case(one.as_bytes()))
        };
        Some(value.split(|byte| *byte == b':').any(is_one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let tags = Tags::read(b" v=1; a = rsa-sha256 ;\r\n h=From : To;b=a=b=;").unwrap();
        assert_eq!(
            (tags.value("V"), tags.value("a")),
            (Some(&b"1"[..]), Some(&b"rsa-sha256"[..]))
        );
        assert_eq!(
            (tags.value("b"), tags.value("x"), tags.first()),
            (Some(&b"a=b="[..]), None, Some(&b"v"[..]))
        );
        assert_eq!(
            (
                tags.lists("h", &["to"]),
                tags.lists("h", &["cc"]),
                tags.lists("q", &["to"])
            ),
            { (Some(true), Some(false), None) }
        );
        for list in ["v=1; x=", "v=1; x=;", "v=1; x=;;", "v=1; x= ; ;\r\n;"] {
            let tags = Tags::read(list.as_bytes()).unwrap();
            assert_eq!(
                (tags.value("v"), tags.value("x")),
                (Some(&b"1"[..]), Some(&b""[..]))
            );
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in [
            "v=1; v=1", "v=1; V=1", "v", "v=1;;a=b", ";v=1", "=1", "a b=1", "1a=b", "v=1; x",
        ] {
            assert!(Tags::read(list.as_bytes()).is_err(), "{list}");
        }
        assert!(Tags::read(b"").is_ok_and(|tags| tags.first().is_none()));
    }
}
