//! The names at the top of a document, and what a document has under those that matter.

/// A list of pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Hosts,
    Credentials,
}

/// What a document has under the name of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    #[default]
    Absent,
    List,
    /// Some other value.
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    pub(super) hosts: Found,
    pub(super) credentials: Found,
}

impl Lists {
    /// Takes note of a list's value by its first byte. Credentials that are null are none: nothing is left undelivered.
    pub(super) fn note(&mut self, list: List, first: u8) {
        let (found, null) = match list {
            List::Hosts => (&mut self.hosts, Found::Other),
            List::Credentials => (&mut self.credentials, Found::Absent),
        };
        let this = match first {
            b'[' => Found::List,
            b'n' => null,
            _ => Found::Other,
        };
        // A name may come twice.
        *found = this.max(*found);
    }
}

/// A key at the top of a document, by what the server makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    List(List),
    /// `command` or `execution_id`.
    Command,
    Other,
}

impl Name {
    /// The name that stands between a key's quotes. Escapes in it are undone, as the server does.
    #[inline]
    pub(super) fn of(key: &[u8]) -> Name {
        match Name::of_plain(key) {
            Name::Other if key.contains(&b'\\') => Name::of_escaped(key),
            name => name,
        }
    }

    #[inline]
    fn of_plain(key: &[u8]) -> Name {
        match key {
            b"hosts" => Name::List(List::Hosts),
            b"credentials" => Name::List(List::Credentials),
            b"command" | b"execution_id" => Name::Command,
            _ => Name::Other,
        }
    }

    #[cold]
    fn of_escaped(key: &[u8]) -> Name {
        let quoted = [b"\"", key, b"\""].concat();
        serde_json::from_slice::<String>(&quoted).map_or(Name::Other, |key| Name::of_plain(key.as_bytes()))
    }
}
