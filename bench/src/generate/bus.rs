//! Messages at a given rate, and how many messages of the bus between the nodes each one costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::latency::Follow;
use super::{Measured, PATIENCE, Session, WARM_UP};
use crate::engine::Quiet;
use crate::{Failure, http};

/// Time in which what connecting sets off comes to its end.
const SETTLING: Duration = Duration::from_secs(3);
/// Time over which the bus is counted while nobody sends.
const IDLE: Duration = Duration::from_secs(5);

/// What a NATS server has counted: messages that it was given, and those that it has handed on.
#[derive(Deserialize)]
struct Counts {
    in_msgs: u64,
    out_msgs: u64,
}

/// Messages of both ways.
fn count(monitor: SocketAddr) -> Result<f64, Failure> {
    let counts: Counts = serde_json::from_slice(&http::ask(monitor, "GET", "/varz", None, None)?.body)?;
    Ok((counts.in_msgs + counts.out_msgs) as f64)
}

pub(super) fn measure(mut session: Session) -> Result<Measured, Failure> {
    let monitor = session.options.monitor.ok_or_else(|| Failure::new("--monitor is missing"))?;
    session.connect_all()?;
    session.engine.spend(&session.world, &mut Quiet, SETTLING)?;
    let (before, begun) = (count(monitor)?, Instant::now());
    session.engine.spend(&session.world, &mut Quiet, IDLE)?;
    let idle_per_s = (count(monitor)? - before) / begun.elapsed().as_secs_f64();
    let mut follow = Follow::default();
    follow.run(&mut session, WARM_UP)?;
    let (before, sent, begun) = (count(monitor)?, session.sent, Instant::now());
    let window = Duration::from_secs_f64(session.options.seconds);
    follow.run(&mut session, window)?;
    let goal = session.sent * session.world.rooms[0].members.len() as u64;
    session.engine.await_delivered(&session.world, &mut follow, goal, Instant::now() + PATIENCE)?;
    let spent = count(monitor)? - before - idle_per_s * begun.elapsed().as_secs_f64();
    let sent = (session.sent - sent) as f64;
    Ok(Measured { value: spent / sent, per_s: sent / begun.elapsed().as_secs_f64(), idle_per_s, ..Measured::default() })
}
