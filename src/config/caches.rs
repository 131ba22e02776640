//! `[caches.*]` as read: URLs parsed, names of signers not yet looked up.

use crate::config::address::{HostPort, parse_cache_url};
use crate::config::fault::{Complaint, Located};
use crate::config::item::quoted;
use crate::config::read::Table;
use crate::config::schema::CacheSettings;
use crate::config::settings::timeouts;
use crate::config::signers::{parse_name, signer_name};
use crate::trust::Role;
use std::time::Duration;
use url::Url;

/// A cache as read.
#[derive(Debug)]
pub(super) struct RawCache {
    pub(super) name: Located<Box<str>>,
    /// `None` if it could not be read.
    pub(super) url: Option<Located<Url>>,
    pub(super) operator: Option<Located<Box<str>>>,
    pub(super) role: Role,
    pub(super) priority: u32,
    /// `None` is everybody, also where the list could not be read.
    pub(super) accept_signers: Option<Vec<Located<Box<str>>>>,
    pub(super) claim_timeout: Duration,
    pub(super) nar_hosts: Vec<HostPort>,
    pub(super) credentials_file: Option<std::path::PathBuf>,
    pub(super) ca_file: Option<std::path::PathBuf>,
}

impl RawCache {
    /// What is needed to reach it; `None` without a URL.
    pub(super) fn settings(&self) -> Option<CacheSettings> {
        Some(CacheSettings {
            name: self.name.value.clone(),
            url: self.url.as_ref()?.value.clone(),
            claim_timeout: self.claim_timeout,
            nar_hosts: self.nar_hosts.clone(),
            credentials_file: self.credentials_file.clone(),
            ca_file: self.ca_file.clone(),
        })
    }

    /// Who runs it.
    pub(super) fn operator(&self) -> &str {
        self.operator.as_ref().map_or(&*self.name.value, |o| &*o.value)
    }
}

/// Reads every cache, in the order of the file.
pub(super) fn read_caches(root: &Table<'_>) -> Vec<RawCache> {
    let Some(table) = root.take("caches").and_then(|item| item.table()) else { return Vec::new() };
    table.named().into_iter().filter_map(|(name, item)| Some(read_cache(name, &item.table()?))).collect()
}

fn read_cache(name: Located<Box<str>>, table: &Table<'_>) -> RawCache {
    // Only the fault matters: a cache with a bad name is still one that others may refer to.
    parse_name(name.clone(), table.desk());
    let url = table.need("url", "`url = \"https://HOST\"`");
    let url = url.and_then(|item| item.text("a URL", "\"https://HOST\"", parse_cache_url));
    let operator = table.take("operator").and_then(|item| item.words());
    let roles = [("source", Role::Source), ("witness", Role::Witness)];
    let role = table.take("role").and_then(|item| item.choice(&roles));
    let priority = table.take("priority").and_then(|item| item.number(0..=u64::from(u32::MAX)));
    let claim_timeout = table.take("claim-timeout").and_then(|item| item.duration(timeouts()));
    let accepted = table.take("accept-signers");
    let accepted = accepted.and_then(|item| item.some("the signers that it may show", signer_name));
    let parse_nar_host = |text: &str| match text.contains('/') {
        true => {
            Err(Complaint::new(format!("{} is more than a host", quoted(text)), "\"HOST\" or \"HOST:PORT\""))
        }
        false => HostPort::parse(text),
    };
    let nar_hosts = table.take("nar-hosts").and_then(|item| {
        item.set("hosts", |i| i.text("a host", "\"HOST\" or \"HOST:PORT\"", parse_nar_host))
    });
    RawCache {
        name,
        url,
        operator,
        role: role.map_or(Role::Source, |r| r.value),
        priority: priority.and_then(|p| u32::try_from(p.value).ok()).unwrap_or(USUAL_PRIORITY),
        accept_signers: accepted.filter(|l| l.sure).map(|l| l.items),
        claim_timeout: claim_timeout.map_or(USUAL_CLAIM_TIMEOUT, |t| t.value),
        nar_hosts: nar_hosts.map_or_else(Vec::new, |l| l.items.into_iter().map(|h| h.value).collect()),
        credentials_file: table.take("credentials-file").and_then(|item| Some(item.path()?.value)),
        ca_file: table.take("ca-file").and_then(|item| Some(item.path()?.value)),
    }
}

/// `priority` where nothing is written (design §6).
const USUAL_PRIORITY: u32 = 50;
/// `claim-timeout` where nothing is written (design §6).
const USUAL_CLAIM_TIMEOUT: Duration = Duration::from_secs(5);
