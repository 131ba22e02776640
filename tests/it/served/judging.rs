//! The rule of trust a second time, from the text of the design (§3) and from nothing of `src/`: sets of names,
//! every subset tried, nothing remembered, nothing quick.
//!
//! It says only what is served. Whether the rest is refused or deferred, which serves nothing either way, the
//! comparison beside `src/trust` holds. One reading is shared with Nix and the code: a signature is tried
//! under the keys that bear the name in front of it.

use crate::served::law::{CACHES, Cache, Dissent, EXCEPTIONS, RULES, Rule, SIGNERS, Signer};
use crate::served::paths::{Path, Pin, Wire, World, key};
use crate::served::reading::{Address, Core, Told, base32, read};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What is to be told of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    Served {
        core: Core,
        /// A path that certifies itself is not countersigned.
        countersigned: bool,
        /// The lines of the signatures that vouched.
        signatures: BTreeSet<String>,
    },
    /// Nobody has it.
    Absent,
    /// It is refused or deferred.
    Withheld,
}

type Names = BTreeSet<&'static str>;

/// A claim: where it was given, and who vouches in it.
struct Claim {
    cache: usize,
    told: Told,
    vouching: Names,
    /// The lines with which they do.
    lines: BTreeSet<String>,
}

/// The claims on one path, under the rules or all under the rule of one pinned build.
struct Case<'a> {
    world: &'a World,
    /// Whether the bytes of what would certify itself are known: they are fetched only where nothing is served
    /// without them.
    with_bytes: bool,
    claims: Vec<&'a Claim>,
    /// The caches that gave no answer.
    silent: Names,
    forced: Option<&'static Rule>,
}

pub fn expected(world: &World, path: &Path) -> Expected {
    let mut claims = Vec::new();
    let mut silent = Names::new();
    for (cache, wire) in path.answers.iter().enumerate() {
        match heard(&path.hash, wire) {
            Heard::Claim(told) => claims.push(claim(cache, told)),
            Heard::NotFound => {}
            Heard::Nothing => drop(silent.insert(CACHES[cache].name)),
        }
    }
    let is_pinned = |claim: &&Claim, pin: &Pin| {
        let Core { path, nar_hash, .. } = &claim.told.core;
        pin.path == format!("/nix/store/{path}") && pin.nar_hash == format!("sha256:{nar_hash}")
    };
    let states_address = claims.iter().any(|claim| claim.told.content_address.is_some());
    for with_bytes in [false, true].into_iter().take(if states_address { 2 } else { 1 }) {
        let case = |claims, forced| Case { world, with_bytes, claims, silent: silent.clone(), forced };
        for pin in world.pins.iter().filter(|pin| pin.holds) {
            let pinned = claims.iter().filter(|claim| is_pinned(claim, pin)).collect();
            let forced = RULES.iter().find(|rule| rule.name == pin.rule);
            if let Some(served) = case(pinned, forced).served() {
                return served;
            }
        }
        if let Some(served) = case(claims.iter().collect(), None).served() {
            return served;
        }
    }
    if claims.is_empty() && silent.is_empty() { Expected::Absent } else { Expected::Withheld }
}

enum Heard {
    Claim(Told),
    NotFound,
    Nothing,
}

/// "Not found" is 404, 410, or a 403 from S3. What is no strictly read narinfo of the asked path, or contradicts
/// its own content address, is no answer.
fn heard(asked: &str, wire: &Wire) -> Heard {
    let header = |name: &str| wire.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    let is_s3 =
        header("x-amz-request-id").is_some() || header("server").is_some_and(|(_, v)| v == "AmazonS3");
    match wire.status {
        404 | 410 => return Heard::NotFound,
        403 if is_s3 => return Heard::NotFound,
        200 if !wire.cut && header("content-encoding").is_none() => {}
        _ => return Heard::Nothing,
    }
    let Some(told) = read(&wire.body).filter(|told| told.core.hash_part() == asked) else {
        return Heard::Nothing;
    };
    match Address::of(&told) {
        Some(Address::Recursive(hash)) if base32(&hash) != told.core.nar_hash => Heard::Nothing,
        _ => Heard::Claim(told),
    }
}

fn claim(cache: usize, told: Told) -> Claim {
    let text = told.core.signed_text();
    let (mut vouching, mut lines) = (Names::new(), BTreeSet::new());
    for (key_name, bytes, line) in &told.signatures {
        for signer in SIGNERS.iter().filter(|s| counts(s, &CACHES[cache], told.core.name())) {
            let keys = signer.keys.iter().filter(|k| k.name == key_name && k.but.is_none());
            if keys.into_iter().any(|k| verifies(k.name, &text, bytes)) {
                vouching.insert(signer.name);
                lines.insert(line.clone());
            }
        }
    }
    Claim { cache, told, vouching, lines }
}

/// Whether a signer's word counts, shown by this cache, for a package of this name.
fn counts(signer: &Signer, cache: &Cache, name: &str) -> bool {
    !signer.suspended
        && cache.accepts.is_none_or(|accepts| accepts.contains(&signer.name))
        && signer.may_vouch_for.is_none_or(|globs| globs.iter().any(|glob| matches(glob, name)))
}

fn verifies(key_name: &str, text: &str, bytes: &[u8; 64]) -> bool {
    let public = VerifyingKey::from_bytes(key(key_name).0.verifying_key().bytes()).unwrap();
    public.verify_strict(text.as_bytes(), &Signature::from_bytes(bytes)).is_ok()
}

/// All globs here end in their only `*`.
fn matches(glob: &str, name: &str) -> bool {
    name.starts_with(glob.strip_suffix('*').unwrap())
}

fn signer(name: &str) -> &'static Signer {
    SIGNERS.iter().find(|s| s.name == name).unwrap()
}

/// Where a signer's word comes from in the end.
fn roots(name: &'static str) -> Names {
    match signer(name).derives_from {
        [] => Names::from([name]),
        from => from.iter().flat_map(|name| roots(name)).collect(),
    }
}

/// The largest subset whose members have no root in common.
fn voices(of: &Names) -> usize {
    let of: Vec<&str> = of.iter().copied().collect();
    let subset = |mask: usize| (0..of.len()).filter(move |i| mask >> i & 1 == 1).collect::<Vec<usize>>();
    let is_disjoint = |subset: &Vec<usize>| {
        let all: Vec<&str> = subset.iter().flat_map(|i| roots(of[*i])).collect();
        all.iter().collect::<BTreeSet<_>>().len() == all.len()
    };
    (0..1 << of.len()).map(subset).filter(is_disjoint).map(|s| s.len()).max().unwrap()
}

fn voters(rule: &Rule) -> Names {
    rule.clauses.iter().flat_map(|(_, of)| of.iter().copied()).collect()
}

/// Those named in an `of` or `prefer`.
fn named(rule: &Rule) -> Names {
    match rule.dissent {
        Dissent::Prefer(list) => voters(rule).into_iter().chain(list.iter().copied()).collect(),
        Dissent::Refuse | Dissent::Outvote => voters(rule),
    }
}

impl Case<'_> {
    fn rule(&self, name: &str) -> &'static Rule {
        let mut excepted = EXCEPTIONS.iter().filter(|e| e.holds && matches(e.packages, name));
        let by_name = |name| RULES.iter().find(|rule| rule.name == name).unwrap();
        let matching = || RULES.iter().find(|rule| rule.packages.is_none_or(|glob| matches(glob, name)));
        let excepted = excepted.next().map(|e| by_name(e.rule));
        self.forced.or(excepted).or_else(matching).unwrap()
    }

    fn is_credible(&self, claim: &Claim) -> bool {
        !claim.vouching.is_disjoint(&named(self.rule(claim.told.core.name())))
    }

    /// What is served, if anything.
    fn served(&self) -> Option<Expected> {
        let credible: Vec<&Claim> = self.claims.iter().copied().filter(|c| self.is_credible(c)).collect();
        let credible = self.with_one_name(credible)?;
        let cores: BTreeSet<&Core> = credible.iter().map(|c| &c.told.core).collect();
        let Some(first) = cores.first() else { return self.by_content(None) };
        let rule = self.rule(first.name());
        match self.settled(rule, &credible, &cores) {
            Some(core) => self.endorsed(rule, core, true),
            None if cores.len() == 1 => self.by_content(Some(first)),
            None => None,
        }
    }

    /// §3.4: what only limited signers call by another name is noise beside what an unlimited one vouches for.
    fn with_one_name<'c>(&self, credible: Vec<&'c Claim>) -> Option<Vec<&'c Claim>> {
        let is_firm = |claim: &&&Claim| {
            let known = named(self.rule(claim.told.core.name()));
            claim.vouching.intersection(&known).any(|s| signer(s).may_vouch_for.is_none())
        };
        let firm: BTreeSet<&str> = credible.iter().filter(is_firm).map(|c| c.told.core.name()).collect();
        let stays = |claim: &&Claim| firm.is_empty() || firm.contains(claim.told.core.name());
        let left: Vec<&Claim> = credible.iter().copied().filter(stays).collect();
        let names: BTreeSet<&str> = left.iter().map(|c| c.told.core.name()).collect();
        (names.len() <= 1).then_some(left)
    }

    /// §3.3 and §3.5: the core that the rule settles on and that satisfies it.
    fn settled<'c>(&self, rule: &Rule, credible: &[&Claim], cores: &BTreeSet<&'c Core>) -> Option<&'c Core> {
        let vouching = |is: &dyn Fn(&Core) -> bool| -> Names {
            credible.iter().filter(|c| is(&c.told.core)).flat_map(|c| c.vouching.iter().copied()).collect()
        };
        let own = |core: &Core| vouching(&|c| c == core);
        let others = |core: &Core| vouching(&|c| c != core);
        let satisfies = |core: &Core, void: &Names| {
            let claims = credible.iter().filter(|c| c.told.core == *core);
            let operators: Names = claims.map(|c| CACHES[c.cache].operator).collect();
            let is_met = |(least, of): &(usize, &[&'static str])| {
                let of: Names = of.iter().copied().filter(|s| !void.contains(s)).collect();
                voices(&own(core).intersection(&of).copied().collect()) >= *least
            };
            operators.len() >= rule.operators && rule.clauses.iter().all(is_met)
        };
        if cores.len() == 1 {
            return cores.first().copied().filter(|core| satisfies(core, &Names::new()));
        }
        match rule.dissent {
            Dissent::Refuse => None,
            Dissent::Outvote => cores.iter().copied().find(|core| {
                let against: Names = others(core).intersection(&voters(rule)).copied().collect();
                let tainted: Names = against.iter().flat_map(|s| roots(s)).collect();
                let (void, clean): (Names, Names) =
                    own(core).into_iter().partition(|s| !roots(s).is_disjoint(&tainted));
                let on_its_side = clean.intersection(&voters(rule)).copied().collect();
                voices(&on_its_side) > voices(&against) && satisfies(core, &void)
            }),
            Dissent::Prefer(list) => {
                let vouched = |s: &&'static str| -> Vec<&'c Core> {
                    cores.iter().copied().filter(|core| own(core).contains(s)).collect()
                };
                let chosen = list.iter().map(vouched).find(|cores| cores.len() == 1)?[0];
                satisfies(chosen, &others(chosen)).then_some(chosen)
            }
        }
    }

    /// §3.7: what certifies itself, beside one credible core that falls short, or beside none.
    fn by_content(&self, only: Option<&Core>) -> Option<Expected> {
        let mut certified: Vec<(&Core, Address)> = Vec::new();
        for claim in self.claims.iter().filter(|c| only.is_none_or(|core| *core == c.told.core)) {
            let core = &claim.told.core;
            let known = certified.iter().any(|(c, _)| *c == core);
            if let (Some(address), true) = (Address::of(&claim.told), self.rule(core.name()).verify && !known)
            {
                certified.push((core, address));
            }
        }
        let core = match certified.as_slice() {
            // NarHash is bound to the path; what NarSize is, only the bytes can tell where claims differ.
            [(core, Address::Recursive(_))] => core,
            _ => certified
                .iter()
                .find(|(core, address)| self.bytes_agree(core, address))
                .map(|(core, _)| core)?,
        };
        self.endorsed(self.rule(core.name()), core, false)
    }

    fn bytes_agree(&self, core: &Core, address: &Address) -> bool {
        self.with_bytes
            && self.offers(core).iter().any(|(claim, url)| {
                let nar = self.world.nars.get(&(claim.cache, url.clone()));
                nar.is_some_and(|nar| {
                    claim.told.compression == "none"
                        && nar.len() as u64 == core.nar_size
                        && base32(&Sha256::digest(nar)) == core.nar_hash
                        && address.is_of(nar)
                })
            })
    }

    /// Where the bytes of a core can be fetched and decoded.
    fn offers(&self, core: &Core) -> Vec<(&Claim, String)> {
        let known = ["none", "xz", "", "bzip2", "zstd", "gzip", "br"];
        let is_offer = |c: &&Claim| {
            c.told.core == *core
                && !CACHES[c.cache].witness
                && known.contains(&c.told.compression.as_str())
                && (!c.told.url.contains(':') || c.told.url.starts_with(&self.world.urls[c.cache]))
        };
        let offers = self.claims.iter().copied().filter(is_offer);
        offers.map(|c| (c, c.told.url.replace(&format!("{}/", self.world.urls[c.cache]), ""))).collect()
    }

    fn endorsed(&self, rule: &Rule, core: &Core, countersigned: bool) -> Option<Expected> {
        if rule.must_answer.iter().any(|cache| self.silent.contains(cache)) || self.offers(core).is_empty() {
            return None;
        }
        let agreeing = self.claims.iter().filter(|c| c.told.core == *core);
        let signatures = agreeing.flat_map(|c| c.lines.iter().cloned()).collect();
        Some(Expected::Served { core: core.clone(), countersigned, signatures })
    }
}
