//! What is fetched once and again before it expires.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;

/// Renewed this long before the end: an upload that starts now must still be allowed to end.
const MARGIN: Duration = Duration::from_mins(5);

/// Something with an end.
#[derive(Clone)]
pub(crate) struct Leased<T> {
    pub(crate) value: T,
    /// `None` for what never ends.
    pub(crate) until: Option<SystemTime>,
}

impl<T> Leased<T> {
    pub(crate) fn is_stale(&self, now: SystemTime) -> bool {
        self.until
            .is_some_and(|until| until.checked_sub(MARGIN).is_none_or(|end| end <= now))
    }
}

/// Leases by what they are for. One conversation at a time: a dozen blobs do not ask for a dozen tokens.
pub(crate) struct Cache<K, T>(Mutex<HashMap<K, Leased<T>>>);

impl<K, T> Default for Cache<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, T> std::fmt::Debug for Cache<K, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache(…)")
    }
}

impl<K: Eq + Hash, T: Clone> Cache<K, T> {
    /// What is there, unless it is about to end; else what `fetch` gives. Failures are not kept.
    pub(crate) async fn get<E>(
        &self,
        key: K,
        fetch: impl Future<Output = Result<Option<Leased<T>>, E>>,
    ) -> Result<Option<Leased<T>>, E> {
        let mut leases = self.0.lock().await;
        if let Some(lease) = leases.get(&key)
            && !lease.is_stale(SystemTime::now())
        {
            return Ok(Some(lease.clone()));
        }
        let fetched = fetch.await?;
        match &fetched {
            Some(lease) => leases.insert(key, lease.clone()),
            None => leases.remove(&key),
        };
        Ok(fetched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_stale_before_it_ends() {
        let now = SystemTime::now();
        let lease = |until| Leased { value: (), until };
        for (until, stale) in [
            (None, false),
            (Some(now + MARGIN * 2), false),
            (Some(now + MARGIN / 2), true),
            (Some(now - MARGIN), true),
            (Some(SystemTime::UNIX_EPOCH), true),
        ] {
            assert_eq!(lease(until).is_stale(now), stale, "{until:?}");
        }
    }
}
