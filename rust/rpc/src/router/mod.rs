//! The methods of all sides under one roof: which there are, who answers them, and how they are counted.
//!
//! `body` takes a request's bytes apart and puts its response together, `dispatch` gives each call to who answers it, and
//! `own` answers the server's own methods.

mod body;
mod dispatch;
mod own;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use alloy_primitives::map::{HashMap, HashSet};
use openrpc::{Declaration, Malformed};
use serde_json::value::{RawValue, to_raw_value};

use crate::access::is_offered;
use crate::address::{Client, Share};
use crate::budget::Permit;
use crate::config::{Allowance, ListenerKind};
use crate::connection::Connection;
use crate::criteria::CriteriaLimits;
use crate::filters::Filters;
use crate::lanes::Lanes;
use crate::methods::{Cost, Methods, Outside};
use crate::own::{OWN_METHODS, Own};
use crate::sending::Senders;
use crate::session::Session;
use crate::statistics::{Counters, MethodCounters, MethodStatistics, Transport};
use crate::together::Together;

/// Who answers a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answerer {
    Own(Own),
    Methods(Cost),
    Outside,
}

/// One method and its counters.
struct Route {
    name: Arc<str>,
    declaration: Declaration,
    answerer: Answerer,
    counters: MethodCounters,
}

/// Facts about the node that change while it runs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) client_version: String,
    pub(crate) network_id: u64,
    pub(crate) listening: AtomicBool,
    pub(crate) peers: AtomicU64,
    /// Heavy calls are refused while this is set.
    pub(crate) shedding: AtomicBool,
    pub(crate) is_gateway: bool,
    /// The answer of /readyz, until it leaves.
    pub(crate) ready: AtomicBool,
    /// It is about to stop: /readyz says so.
    pub(crate) leaving: AtomicBool,
    /// Somebody has asked /readyz.
    pub(crate) readiness_asked: AtomicBool,
}

/// The limits the router applies.
#[derive(Debug, Clone)]
pub(crate) struct RouterLimits {
    pub(crate) response_bytes_max: usize,
    pub(crate) batch_items_max: usize,
    pub(crate) allowance: Option<Allowance>,
    pub(crate) criteria: CriteriaLimits,
    pub(crate) heavy_timeout: Duration,
    pub(crate) outside_timeout: Duration,
}

/// Answers requests.
pub(crate) struct Router {
    routes: HashMap<Arc<str>, Route>,
    unknown: MethodCounters,
    methods: Arc<dyn Methods>,
    outside: Arc<dyn Outside>,
    lanes: Lanes,
    limits: RouterLimits,
    together: Option<Together>,
    pub(crate) facts: Facts,
    pub(crate) filters: Filters,
    pub(crate) senders: Senders,
    pub(crate) counters: Counters,
}

/// Who is calling.
pub(crate) struct Caller<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) client: &'a Client,
    /// Only a WebSocket connection can be told anything later.
    pub(crate) session: Option<&'a Session>,
    /// What it may take up.
    pub(crate) share: &'a Share,
    /// The place of its request, where that is large.
    pub(crate) place: Option<&'a Arc<Permit>>,
}

impl Caller<'_> {
    fn transport(&self) -> Transport {
        match self.session {
            Some(_) => Transport::WebSocket,
            None => Transport::Http,
        }
    }
}

impl Router {
    pub(crate) fn new(
        methods: Arc<dyn Methods>,
        outside: Arc<dyn Outside>,
        lanes: Lanes,
        limits: RouterLimits,
        facts: Facts,
        filters: Filters,
    ) -> Self {
        let mut routes = HashMap::default();
        let mut add = |declaration: Declaration, answerer| {
            let name: Arc<str> = (*declaration.name).into();
            routes.insert(
                Arc::clone(&name),
                Route {
                    name,
                    declaration,
                    answerer,
                    counters: MethodCounters::default(),
                },
            );
        };
        for declaration in methods.declarations() {
            let cost = methods.cost(&declaration.name);
            add(declaration, Answerer::Methods(cost));
        }
        for (own, declaration) in OWN_METHODS {
            add(declaration, Answerer::Own(own));
        }
        for declaration in outside.declarations() {
            add(declaration, Answerer::Outside);
        }
        let (unknown, counters) = (MethodCounters::default(), Counters::default());
        let together = limits
            .allowance
            .as_ref()
            .and_then(|allowance| Together::new(allowance.units_per_second_of_all, Instant::now()));
        Self {
            routes,
            unknown,
            methods,
            outside,
            lanes,
            limits,
            together,
            facts,
            filters,
            senders: Senders::default(),
            counters,
        }
    }

    /// What answers the calls that are not the server's own.
    pub(crate) fn methods(&self) -> &dyn Methods {
        &*self.methods
    }

    /// Number of the newest block that readers see.
    pub(crate) fn head(&self) -> u64 {
        self.methods.head()
    }

    pub(crate) fn allowance(&self) -> Option<&Allowance> {
        self.limits.allowance.as_ref()
    }

    /// The methods that a listener of this kind with these namespaces offers.
    pub(crate) fn offered(
        &self,
        kind: ListenerKind,
        namespaces: &[String],
        methods: Option<&BTreeSet<String>>,
    ) -> HashSet<Arc<str>> {
        let is_listed = |name: &str| methods.is_none_or(|listed| listed.contains(name));
        self.routes
            .keys()
            .filter(|name| is_offered(name, kind, namespaces) && is_listed(name))
            .cloned()
            .collect()
    }

    /// The OpenRPC document of these methods.
    pub(crate) fn document(&self, names: &HashSet<Arc<str>>) -> Result<Box<RawValue>, Malformed> {
        let declarations: Vec<Declaration> = names
            .iter()
            .filter_map(|name| self.routes.get(name))
            .map(|route| route.declaration.clone())
            .collect();
        let document = openrpc::document(&declarations)?;
        Ok(to_raw_value(&document).unwrap_or_default())
    }

    pub(crate) fn method_statistics(&self) -> Vec<MethodStatistics> {
        let named = self
            .routes
            .values()
            .map(|route| route.counters.snapshot(&route.name));
        let mut all: Vec<_> = named
            .chain([self.unknown.snapshot("other")])
            .filter(|one| one.requests > 0)
            .collect();
        all.sort_unstable_by(|one, other| one.method.cmp(&other.method));
        all
    }
}
