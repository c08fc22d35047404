//! `format=flowed` (RFC 3676): lines that a mailer broke are joined again.

/// Returns the text with LF as line ends. If `flowed` is set, the text is unflowed; with
/// `delete_space` (`DelSp=yes`), the spaces that belong to the breaks are left out.
pub(super) fn plain(text: &str, flowed: bool, delete_space: bool) -> String {
    // If the text has no LF, a bare CR ends a line, as it did on the old Macintosh.
    let mark = if text.contains('\n') { '\n' } else { '\r' };
    let lines = text.split_terminator(mark);
    let lines = lines.map(|line| line.trim_end_matches('\r'));
    if !flowed {
        let mut plain = String::with_capacity(text.len());
        for line in lines {
            plain.push_str(line);
            plain.push('\n');
        }
        return plain;
    }

    let mut plain = String::with_capacity(text.len());
    // The depth to which the open paragraph is quoted.
    let mut open: Option<usize> = None;

    for line in lines {
        let depth = line.bytes().take_while(|byte| *byte == b'>').count();
        let rest = &line[depth..];
        let content = rest.strip_prefix(' ').unwrap_or(rest);
        let flows = content.ends_with(' ') && content != "-- ";

        if open.is_some_and(|quoted| quoted != depth || content == "-- ") {
            end(&mut plain);
            open = None;
        }
        if open.is_none() && depth > 0 {
            plain.push_str(&line[..depth]);
            plain.push(' ');
        }

        let kept = if flows && delete_space {
            content.strip_suffix(' ').unwrap_or(content)
        } else {
            content
        };
        plain.push_str(kept);

        if flows {
            open = Some(depth);
        } else {
            plain.push('\n');
            open = None;
        }
    }

    if open.is_some() {
        end(&mut plain);
    }
    plain
}

fn end(plain: &mut String) {
    plain.truncate(plain.trim_end_matches(' ').len());
    plain.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_mailer_broke_are_joined() {
        let text = "State: \r\nOPEN\r\n stuffed\r\n> quoted \r\n> more\r\nown\r\n-- \r\nme\r\n";
        assert_eq!(
            plain(text, true, false),
            "State: OPEN\nstuffed\n> quoted more\nown\n-- \nme\n"
        );
        assert_eq!(plain("a \r\nb\r\n", true, true), "ab\n");
        assert_eq!(plain("a \r\nb", false, true), "a \nb\n");
        assert_eq!(plain("a \n> b \nc", true, false), "a\n> b\nc\n");
        assert_eq!(plain("a ", true, false), "a\n");
        assert_eq!(plain("a\rb\r", false, false), "a\nb\n");
        assert_eq!(plain("a \rb\r", true, false), "a b\n");
        assert_eq!(plain("a\r\r\nb\rc\n\n", false, false), "a\nb\rc\n\n");
    }
}
