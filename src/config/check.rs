//! The bounds of the settings.

use parlance_schema::limits;

use super::{Config, Error, cluster, consumers, scylla};
use crate::origin::{Hosts, Origins};
use crate::proxy::Proxies;

/// The slowest rate that can be set besides 0: one in a little over a day.
const RATE_MIN: f64 = 0.000_01;
/// The fastest rate that can be set.
const RATE_MAX: f64 = 1_000_000.0;
/// The largest burst that can be set.
const BURST_MAX: u64 = 10_000_000;
/// Seconds in which a burst that was used up must be there again.
const FILL_S_MAX: f64 = 366.0 * 24.0 * 3_600.0;

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let l = &self.limits;
        let a = &self.auth;
        between("auth.access_token_s", a.access_token_s, 10, limits::TOKEN_LIFE_S_MAX)?;
        between("auth.refresh_token_s", a.refresh_token_s, a.access_token_s, 366 * 24 * 3600)?;
        between("auth.argon2.lanes", u64::from(a.argon2.lanes), 1, 16)?;
        between("auth.argon2.iterations", u64::from(a.argon2.iterations), 1, 64)?;
        let memory_min = 8 * u64::from(a.argon2.lanes);
        between("auth.argon2.memory_kib", u64::from(a.argon2.memory_kib), memory_min, 1024 * 1024)?;
        between("limits.connections", l.connections as u64, 1, 1_000_000)?;
        between("limits.connections_per_user", l.connections_per_user as u64, 1, 10_000)?;
        between("limits.reconnects_per_s", u64::from(l.reconnects_per_s), 1, 1_000_000)?;
        between("limits.commands_per_s", u64::from(l.commands_per_s), 0, 1_000_000)?;
        between("limits.slow_close_ms", l.slow_close_ms, 1_000, 3_600_000)?;
        between("limits.heartbeat_ms", l.heartbeat_ms, 1_000, 600_000)?;
        between("limits.silence_ms", l.silence_ms, 2 * l.heartbeat_ms + 1, 3_600_000)?;
        between("limits.room_idle_ms", l.room_idle_ms, 1_000, 86_400_000)?;
        between("limits.connections_per_address", l.connections_per_address as u64, 0, 1_000_000)?;
        between("limits.header_ms", l.header_ms, 100, 600_000)?;
        between("limits.request_ms", l.request_ms, 1_000, 3_600_000)?;
        between("limits.reply_ms", l.reply_ms, 100, 3_600_000)?;
        self.check_gateway()?;
        cluster::check(self)?;
        scylla::check(self)?;
        consumers::check(self)?;
        let url = &self.server.public_url;
        if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
            return Err(bounds("server.public_url", url, "empty, or an address that begins with http:// or https://"));
        }
        if self.data.dir.as_os_str().is_empty() {
            return Err(bounds("data.dir", "", "a folder"));
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return Err(bounds("log.filter", &self.log.filter, &error.to_string()));
        }
        Ok(())
    }

    fn check_gateway(&self) -> Result<(), Error> {
        let (g, r, url) = (&self.gateway, &self.rates, &self.server.public_url);
        let origin = "each must be * or an origin such as https://chat.example.org";
        Origins::parse(&g.origins, url).map_err(|bad| bounds("gateway.origins", &bad, origin))?;
        let host = "each must be a name such as chat.example.org or *.example.org";
        Hosts::parse(&g.hosts, url).map_err(|bad| bounds("gateway.hosts", &bad, host))?;
        let proxy = "each must be an address or a network such as 10.0.0.0/8";
        Proxies::parse(&g.proxies).map_err(|bad| bounds("gateway.proxies", &bad, proxy))?;
        if g.proxy_protocol && g.proxies.is_empty() {
            return Err(bounds("gateway.proxy_protocol", "true", "gateway.proxies must name who sends it"));
        }
        between("gateway.hsts_s", g.hsts_s, 0, 10 * 366 * 24 * 3600)?;
        rate(["rates.address_per_s", "rates.address_burst"], r.address_per_s, r.address_burst)?;
        rate(["rates.user_per_s", "rates.user_burst"], r.user_per_s, r.user_burst)?;
        rate(["rates.attempts_per_s", "rates.attempts_burst"], r.attempts_per_s, r.attempts_burst)?;
        between("tls.reload_s", self.tls.reload_s, 1, 24 * 3600)?;
        let (certificate, key) = (&self.tls.certificate, &self.tls.key);
        if certificate.as_os_str().is_empty() != key.as_os_str().is_empty() {
            return Err(bounds("tls.key", &key.to_string_lossy(), "tls.certificate and tls.key go together"));
        }
        Ok(())
    }
}

pub(super) fn between(setting: &'static str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(bounds(setting, &value.to_string(), &format!("it goes from {min} to {max}")))
}

/// Checks a rate and its burst. A rate of 0 is without limit, whatever its burst is.
fn rate([rate, burst]: [&'static str; 2], per_s: f64, most: u32) -> Result<(), Error> {
    if per_s == 0.0 {
        return Ok(());
    }
    if !(RATE_MIN..=RATE_MAX).contains(&per_s) {
        let why = format!("it must be 0 (no limit) or a number from {RATE_MIN} to {RATE_MAX}, such as 0.2");
        return Err(bounds(rate, &per_s.to_string(), &why));
    }
    // Rounded up: with less than a second's worth at once, the rate could never be reached.
    between(burst, u64::from(most), (per_s.ceil() as u64).max(1), BURST_MAX)?;
    let fill_s = f64::from(most) / per_s;
    if fill_s > FILL_S_MAX {
        let why = format!("at {per_s} a second it would take over a year to be allowed again; it must be smaller");
        return Err(bounds(burst, &most.to_string(), &why));
    }
    Ok(())
}

pub(super) fn bounds(setting: impl Into<String>, value: &str, why: &str) -> Error {
    let (place, setting) = (String::new(), setting.into());
    Error::Bounds { place, setting, value: format!("{value:?}").replace('"', "'"), why: why.to_owned() }
}
