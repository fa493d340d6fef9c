//! Says whether a host may need one of the rules, in one pass and next to no time: nearly all hosts need none. May be wrong in
//! one way only: `rules` changes nothing in a host that is not suspicious.

use super::INDEXED_BYTES_MAX;
use super::identity::{FIELDS, Identity};
use super::number::{is_beyond_int32, is_port_out_of_range};
use super::rules::{CREDENTIAL_FIELDS, REFERENCE_TYPES};
use super::run_date::{self, Judgement};
use super::text::is_said;
use super::walk::{Text, Walker};

/// Some rule may have something to do.
struct Suspicion;

type Found = Result<(), Suspicion>;

/// Whether some rule may have something to do with a host, which is valid JSON of any kind.
pub(super) fn is_suspicious(host: &[u8]) -> bool {
    let mut vulnerabilities = Vulnerabilities::default();
    look_at_host(&mut Walker::new(host), &mut vulnerabilities).is_err()
}

fn look_at_host<'p>(walker: &mut Walker<'p>, vulnerabilities: &mut Vulnerabilities) -> Found {
    walker.object(|walker, key| match name(key)? {
        b"ip" => look_at_length(walker, INDEXED_BYTES_MAX),
        b"hostnames" => look_at_lengths(walker, INDEXED_BYTES_MAX),
        b"services" => walker.list(|walker| look_at_service(walker, vulnerabilities)),
        b"vulnerabilities" => vulnerabilities.look_at_list(walker),
        b"id" | b"command_id" => Err(Suspicion),
        _ => pass(walker),
    })
}

fn look_at_service<'p>(walker: &mut Walker<'p>, vulnerabilities: &mut Vulnerabilities) -> Found {
    walker.object(|walker, key| match name(key)? {
        b"port" => unless(is_port_out_of_range(walker.value())),
        b"protocol" => look_at_length(walker, INDEXED_BYTES_MAX),
        b"vulnerabilities" => vulnerabilities.look_at_list(walker),
        b"id" | b"command_id" => Err(Suspicion),
        _ => pass(walker),
    })
}

/// What is to be known of all vulnerabilities of one list.
#[derive(Default)]
struct Vulnerabilities {
    count: usize,
    /// How many have `easeofresolution`, and how many `custom_fields`.
    eased: usize,
    customized: usize,
    fingerprints: Vec<u64>,
}

impl Vulnerabilities {
    fn look_at_list(&mut self, walker: &mut Walker<'_>) -> Found {
        (self.count, self.eased, self.customized) = (0, 0, 0);
        self.fingerprints.clear();
        let mut first = Identity::default();
        walker.list(|walker| {
            let identity = self.look_at_one(walker)?;
            self.count += 1;
            match self.count {
                // Alone, it is nobody's double.
                1 => first = identity,
                2 => self.fingerprints.extend([first.fingerprint(), identity.fingerprint()]),
                _ => self.fingerprints.push(identity.fingerprint()),
            }
            Ok(())
        })?;
        self.fingerprints.sort_unstable();
        unless(self.fingerprints.windows(2).any(|two| two[0] == two[1]))?;
        let is_uneven = |having: usize| having != 0 && having != self.count;
        unless(is_uneven(self.eased) || is_uneven(self.customized))
    }

    fn look_at_one<'p>(&mut self, walker: &mut Walker<'p>) -> Result<Identity<'p>, Suspicion> {
        let (mut identity, mut has_description) = (Identity::default(), false);
        let (mut is_eased, mut is_customized) = (false, false);
        walker.object(|walker, key| {
            let name = name(key)?;
            if let Some(field) = FIELDS.iter().position(|field| *field == name) {
                identity.0[field] = walker.value();
                return Ok(());
            }
            match name {
                b"refs" => walker.list(look_at_reference),
                b"credentials" => walker.list(look_at_credential),
                b"cwe" | b"policyviolations" => look_at_lengths(walker, INDEXED_BYTES_MAX),
                b"run_date" => unless(run_date::judge(walker.value()) != Judgement::Fine),
                b"status_code" => unless(is_beyond_int32(walker.value())),
                b"metadata" | b"issuetracker" => Err(Suspicion),
                b"owasp" => unless(!matches!(walker.value(), b"[]" | b"null" | br#""""#)),
                b"id" | b"command_id" => Err(Suspicion),
                b"easeofresolution" => {
                    is_eased = true;
                    pass(walker)
                }
                b"custom_fields" => {
                    is_customized = true;
                    pass(walker)
                }
                b"description" => {
                    has_description |= is_said(walker.value());
                    Ok(())
                }
                _ => pass(walker),
            }
        })?;
        self.eased += usize::from(is_eased);
        self.customized += usize::from(is_customized);
        unless(has_description && !identity.has_desc())?;
        Ok(identity)
    }
}

fn look_at_reference(walker: &mut Walker<'_>) -> Found {
    let (is_object, mut has_name, mut has_type) = (walker.is_at_object(), false, false);
    walker.object(|walker, key| match name(key)? {
        b"name" => {
            has_name = true;
            look_at_length(walker, INDEXED_BYTES_MAX)
        }
        b"type" => {
            has_type = true;
            unless(!REFERENCE_TYPES.contains(&walker.value()))
        }
        _ => pass(walker),
    })?;
    unless(is_object && !(has_name && has_type))
}

fn look_at_credential(walker: &mut Walker<'_>) -> Found {
    let mut bytes = 0;
    walker.object(|walker, key| {
        if CREDENTIAL_FIELDS.contains(&name(key)?) {
            bytes += walker.value().len();
            return Ok(());
        }
        pass(walker)
    })?;
    unless(bytes > INDEXED_BYTES_MAX)
}

fn look_at_lengths(walker: &mut Walker<'_>, bytes_max: usize) -> Found {
    walker.list(|walker| look_at_length(walker, bytes_max))
}

/// A text is never longer than what is printed between its quotes.
fn look_at_length(walker: &mut Walker<'_>, bytes_max: usize) -> Found {
    unless(walker.value().len() > bytes_max + b"\"\"".len())
}

fn pass(walker: &mut Walker<'_>) -> Found {
    walker.value();
    Ok(())
}

/// A key that is printed with escapes is left to the rules.
fn name<'p>(key: Text<'p>) -> Result<&'p [u8], Suspicion> {
    if key.has_escapes { Err(Suspicion) } else { Ok(key.inside()) }
}

fn unless(suspicious: bool) -> Found {
    if suspicious { Err(Suspicion) } else { Ok(()) }
}
