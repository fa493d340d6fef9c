//! A host taken apart, only where somebody asks: what was not taken apart is written as it was printed, byte for byte, whatever
//! its numbers, escapes or depth. So deep as a schema goes, and no deeper, goes the recursion.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;

use super::text::decode;
use super::walk::Walker;

pub(super) enum Value<'p> {
    /// As printed, or made by a rule.
    Printed(Cow<'p, [u8]>),
    List(Vec<Value<'p>>),
    Object(Object<'p>),
}

/// The members in their order. A key may stand there twice; then the last one counts, as it does for the server.
pub(super) struct Object<'p>(pub Vec<Member<'p>>);

pub(super) struct Member<'p> {
    /// What the key says.
    pub name: Cow<'p, [u8]>,
    /// The key as printed, with its quotes.
    key: Cow<'p, [u8]>,
    pub value: Value<'p>,
}

impl<'p> Value<'p> {
    /// The value as printed, unless it was taken apart.
    pub fn printed(&self) -> Option<&[u8]> {
        match self {
            Value::Printed(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn from_bytes(printed: Vec<u8>) -> Value<'p> {
        Value::Printed(printed.into())
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Value::List(_)) || self.printed().is_some_and(|printed| printed.starts_with(b"["))
    }

    /// Whether it is as good as nothing: null, or an empty text, list or object.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Printed(bytes) => match &**bytes {
                b"null" | br#""""# => true,
                [b'[', inside @ .., b']'] | [b'{', inside @ .., b'}'] => inside.trim_ascii().is_empty(),
                _ => false,
            },
            Value::List(elements) => elements.is_empty(),
            Value::Object(Object(members)) => members.is_empty(),
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&mut self) -> Option<&mut Vec<Value<'p>>> {
        if let Value::Printed(Cow::Borrowed(printed @ [b'[', ..])) = *self {
            *self = Value::List(elements(printed));
        }
        match self {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&mut self) -> Option<&mut Object<'p>> {
        if let Value::Printed(Cow::Borrowed(printed @ [b'{', ..])) = *self {
            *self = Value::Object(Object::new(printed));
        }
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Printed(bytes) => out.extend_from_slice(bytes),
            Value::List(elements) => {
                write_row(out, b"[]", elements, |element, out| element.write(out));
            }
            Value::Object(Object(members)) => write_row(out, b"{}", members, |member, out| {
                out.extend_from_slice(&member.key);
                out.push(b':');
                member.value.write(out);
            }),
        }
    }
}

fn write_row<T>(out: &mut Vec<u8>, brackets: &[u8; 2], items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(brackets[0]);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(brackets[1]);
}

fn elements(printed: &[u8]) -> Vec<Value<'_>> {
    let mut elements = Vec::new();
    let Ok(()) = Walker::new(printed).list(|walker| {
        elements.push(Value::Printed(walker.value().into()));
        Ok::<(), Infallible>(())
    });
    elements
}

impl<'p> Object<'p> {
    fn new(printed: &'p [u8]) -> Object<'p> {
        let mut members = Vec::new();
        let Ok(()) = Walker::new(printed).object(|walker, key| {
            let value = Value::Printed(walker.value().into());
            members.push(Member { name: decode(key.printed), key: key.printed.into(), value });
            Ok::<(), Infallible>(())
        });
        Object(members)
    }

    pub fn find(&self, name: &[u8]) -> Option<&Value<'p>> {
        self.0.iter().rev().find(|member| *member.name == *name).map(|member| &member.value)
    }

    pub fn find_mut(&mut self, name: &[u8]) -> Option<&mut Value<'p>> {
        self.0.iter_mut().rev().find(|member| *member.name == *name).map(|member| &mut member.value)
    }

    /// A value that is neither list nor object, as printed.
    pub fn printed(&self, name: &[u8]) -> Option<&[u8]> {
        self.find(name).and_then(Value::printed)
    }

    /// Replaces a value, or adds it. `name` needs no escapes.
    pub fn set(&mut self, name: &'static str, value: Value<'p>) {
        match self.find_mut(name.as_bytes()) {
            Some(old) => *old = value,
            None => {
                let (name, key) = (name.as_bytes().into(), format!("\"{name}\"").into_bytes().into());
                self.0.push(Member { name, key, value });
            }
        }
    }

    /// Where each member stands.
    pub fn places(&self) -> HashMap<Cow<'p, [u8]>, usize> {
        self.0.iter().enumerate().map(|(place, member)| (member.name.clone(), place)).collect()
    }

    /// Drops a member; `false` if there is none.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let members = self.0.len();
        self.0.retain(|member| *member.name != *name);
        self.0.len() < members
    }

    /// The elements of a list.
    pub fn list(&mut self, name: &[u8]) -> Option<&mut Vec<Value<'p>>> {
        self.find_mut(name).and_then(Value::as_list)
    }

    /// The objects in a list.
    pub fn objects(&mut self, name: &[u8]) -> impl Iterator<Item = &mut Object<'p>> {
        self.list(name).into_iter().flatten().filter_map(Value::as_object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(value: &Value<'_>) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_not_taken_apart_stays_as_printed() {
        let printed =
            r#" { "a" : 1.10, "\u0062":[ 1 , {} ], "c":[ {"d" : 123456789012345678901234567890}, 5 ]}"#.trim();
        let mut value = Value::Printed(printed.as_bytes().into());
        assert_eq!(write(&value), printed);
        let object = value.as_object().unwrap();
        assert_eq!(object.objects(b"c").count(), 1);
        assert_eq!(object.printed(b"b"), Some(&b"[ 1 , {} ]"[..]));
        let expected = r#"{"a":1.10,"\u0062":[ 1 , {} ],"c":[{"d":123456789012345678901234567890},5]}"#;
        assert_eq!(write(&value), expected);
    }

    #[test]
    fn members_are_set_and_removed() {
        let mut object = Object::new(br#"{"a":1,"b":2,"\u0061":3}"#);
        assert_eq!(object.printed(b"a"), Some(&b"3"[..]), "the last one counts");
        object.set("a", Value::from_bytes(b"4".to_vec()));
        object.set("c", Value::from_bytes(b"5".to_vec()));
        assert_eq!((object.remove(b"b"), object.remove(b"b")), (true, false));
        assert_eq!(write(&Value::Object(object)), r#"{"a":1,"\u0061":4,"c":5}"#);
    }

    #[test]
    fn nothing_is_empty_in_many_ways() {
        for (printed, expected) in [
            ("null", true),
            (r#""""#, true),
            ("[ ]", true),
            ("{}", true),
            ("0", false),
            ("false", false),
            (r#"" ""#, false),
            ("[null]", false),
        ] {
            let mut value = Value::Printed(printed.as_bytes().into());
            assert_eq!(value.is_empty(), expected, "{printed}");
            let _ = (value.as_list().is_some(), value.as_object().is_some());
            assert_eq!(value.is_empty(), expected, "{printed}");
        }
    }
}
