//! One record of comma-separated values, as Go's `encoding/csv` reads it: mounts and devices are written that way, and
//! the flags of the command line that belong to them.

/// Splits a record into fields. A field in double quotes may contain commas, and `""` for a quote.
///
/// # Errors
///
/// What is wrong with the record, in words that repeat nothing of it.
pub fn fields(record: &str) -> Result<Vec<String>, &'static str> {
    if record.is_empty() {
        return Err("the value is empty");
    }
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field, and what follows the comma behind it if there is one.
type Field<'a> = Result<(String, Option<&'a str>), &'static str>;

fn plain_field(text: &str) -> Field<'_> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err("a `\"` stands inside an unquoted field");
    }
    Ok((field.to_owned(), after))
}

fn quoted_field(text: &str) -> Field<'_> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (piece, after) = rest.split_once('"').ok_or("a quoted field has no end")?;
        field.push_str(piece);
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            let after = after
                .strip_prefix(',')
                .ok_or("text follows a quoted field")?;
            return Ok((field, Some(after)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_as_in_go() {
        for (record, wanted) in [
            ("a", Some(vec!["a"])),
            ("a,b=c", Some(vec!["a", "b=c"])),
            ("a,", Some(vec!["a", ""])),
            (",a", Some(vec!["", "a"])),
            ("\"a,b\",c", Some(vec!["a,b", "c"])),
            ("\"a\"\"b\"", Some(vec!["a\"b"])),
            ("a b, c", Some(vec!["a b", " c"])),
            ("", None),
            ("\"a", None),
            ("\"a\"b", None),
            ("a\"b", None),
        ] {
            let found = fields(record).ok();
            let found = found
                .as_ref()
                .map(|fields| fields.iter().map(String::as_str).collect());
            assert_eq!(found, wanted, "{record}");
        }
    }
}
