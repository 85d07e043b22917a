//! Every call that [`communicators`](super::communicators) does not make, in every step.
//!
//! Each step also does the work of [`load`]. What a call gives is mixed into the state; where it may
//! come in any order, such as from any source, a sum is. Invariant: the answer depends on the
//! arguments and the number of ranks alone, whatever choices of timing a recovery has to repeat.

use mainstay::{Any, Comm, Error, Job, Op, Request, Result};

use super::load::{self, Load, Work};
use crate::rhs;

const NEXT: u32 = 11;
const LOOKED_FOR: u32 = 12;
const ANYONE: u32 = 13;
const NEVER: u32 = 14;
const VALUE: u32 = 15;
/// The first of several.
const MANY: u32 = 16;
/// Elements of blocks that take several pieces or rounds; of others.
const LONG: usize = 9_000;
const SHORT: usize = 5;

/// As [`load::steps`], with all calls in each step.
///
/// # Errors
/// An interruption, or a call that gave what it cannot give.
pub fn calls(job: &Job, load: Load) -> Result<()> {
    load::steps_with(job, load, |world, work| {
        messages(world, work)?;
        requests(world, work)?;
        values(world, work)?;
        reductions(world, work)?;
        blocks(world, work)
    })
}

/// Numbers of this rank in this step.
fn words(work: &Work, salt: u64, count: usize) -> Vec<u64> {
    (0..count).map(|k| rhs::word(work.words[0], salt, k as u64)).collect()
}

/// Numbers of many magnitudes, whose sum has other bits in every order.
fn numbers(work: &Work, salt: u64, count: usize) -> Vec<f64> {
    let number = |word: u64| (word >> 11) as f64 * 2_f64.powi((word % 80) as i32 - 70);
    words(work, salt, count).into_iter().map(number).collect()
}

fn mix(work: &mut Work, given: impl IntoIterator<Item = u64>) {
    for word in given {
        work.words[0] = rhs::word(work.words[0] ^ word, work.step, 1);
    }
}

fn mix_numbers(work: &mut Work, given: &[f64]) {
    mix(work, given.iter().map(|number| number.to_bits()));
}

fn sum(blocks: impl IntoIterator<Item = Vec<u64>>) -> u64 {
    blocks.into_iter().flatten().fold(0, u64::wrapping_add)
}

/// The ranks after and before this one.
fn neighbours(world: &Comm) -> (usize, usize) {
    let (rank, size) = (world.rank(), world.size());
    ((rank + 1) % size, (rank + size - 1) % size)
}

/// Blocking calls from one rank to another.
fn messages(world: &Comm, work: &mut Work) -> Result<()> {
    let (next, before) = neighbours(world);
    let mut room = [0; 2 * SHORT];
    let got = world.send_recv((&words(work, 1, SHORT), next), (&mut room, before), NEXT)?;
    mix(work, room[..got].iter().copied());
    let sent = world.isend_vec(words(work, 2, 1 + world.rank()), next, LOOKED_FOR)?;
    let seen = world.probe(before, LOOKED_FOR)?;
    let (found, status) = world.recv_vec::<u64>(seen.source(), seen.tag())?;
    if seen.count::<u64>()? != found.len() || status != seen {
        return Err(Error::msg("a probe and the receive after it differ"));
    }
    mix(work, found);
    sent.wait()?;
    world.send(&words(work, 3, 1), next, LOOKED_FOR)?;
    let _choices = (world.iprobe(before, LOOKED_FOR)?, world.iprobe(Any, LOOKED_FOR)?);
    let got = world.recv(&mut room, before, LOOKED_FOR)?;
    mix(work, room[..got].iter().copied());
    // Rank 0 takes them as they come.
    world.send(&words(work, 4, 1), 0, ANYONE)?;
    if world.rank() == 0 {
        let mut total = 0_u64;
        for _ in 0..world.size() {
            let status = world.recv_from(&mut room, Any, ANYONE)?;
            total = total.wrapping_add(room[0] ^ status.source() as u64);
        }
        mix(work, [total]);
    }
    Ok(())
}

/// Requests, completed in every way there is.
fn requests(world: &Comm, work: &mut Work) -> Result<()> {
    let (next, before) = neighbours(world);
    let tags = MANY..MANY + 5;
    let posted = |tag| world.irecv_into(Vec::<u64>::with_capacity(SHORT), before, tag);
    let mut posted = tags.clone().map(posted).collect::<Result<Vec<_>>>()?;
    let send = |tag: u32| world.isend_vec(words(work, tag.into(), SHORT), next, tag);
    let sent = tags.map(send).collect::<Result<Vec<_>>>()?;
    let mut last = posted.split_off(4);
    let never = world.irecv::<u64>(before, NEVER)?;
    let mut total = 0_u64;
    for request in &mut last {
        let _choice = request.test()?;
    }
    total = total.wrapping_add(sum(Request::test_some(&mut posted)?.into_iter().map(|(_, v)| v)));
    total = total.wrapping_add(sum(Request::wait_any(&mut posted)?.map(|(_, v)| v)));
    total = total.wrapping_add(sum(Request::wait_all(posted)?));
    mix(work, [total]);
    for request in last {
        mix(work, request.wait_from()?.0);
    }
    Request::wait_all(sent)?;
    match never.cancel()? {
        None => Ok(()),
        Some(_) => Err(Error::msg("a message that nobody sent")),
    }
}

/// Values of types that are not plain.
fn values(world: &Comm, work: &mut Work) -> Result<()> {
    let (next, before) = neighbours(world);
    let root = work.step as usize % world.size();
    let text = format!("{:x}", work.words[0]);
    world.send_value(&(world.rank() as u64, text.as_str()), next, VALUE)?;
    let ((from, got), _): ((u64, String), _) = world.recv_value(before, VALUE)?;
    mix(work, got.bytes().map(|byte| from ^ u64::from(byte)));
    let told = (world.rank() == root).then(|| vec![Some(work.words[0]), None]);
    let told = world.broadcast_value(told, root)?;
    mix(work, told.into_iter().flatten());
    let one = Some(work.words[0]);
    let all = world.allgather_values(&one)?.into_iter().flatten();
    mix(work, all.collect::<Vec<_>>());
    if let Some(all) = world.gather_values(&one, root)? {
        mix(work, all.into_iter().flatten());
    }
    Ok(())
}

/// Reductions, blocking and not, with operations of the library and of the program.
fn reductions(world: &Comm, work: &mut Work) -> Result<()> {
    let root = work.step as usize % world.size();
    let long = if work.step.is_multiple_of(5) { LONG } else { SHORT };
    let halve = |a: f64, b: f64| a - b / 2.0;
    let started = world.ireduce_with(&numbers(work, 30, SHORT), root, halve)?;
    let at_root = [
        world.reduce(&numbers(work, 31, long), Op::Sum, root)?,
        world.reduce_with(&numbers(work, 32, SHORT), root, halve)?,
        started.wait()?,
        world.exscan(&numbers(work, 33, SHORT), Op::Max)?,
    ];
    for given in at_root.into_iter().flatten() {
        mix_numbers(work, &given);
    }
    let mut all = numbers(work, 34, long);
    world.allreduce_with(&mut all, halve)?;
    world.scan(&mut all, Op::Sum)?;
    mix_numbers(work, &all);
    let counts: Vec<usize> = (0..world.size()).map(|rank| rank * long / 4).collect();
    let mine = world.reduce_scatter(&numbers(work, 35, counts.iter().sum()), &counts, Op::Sum)?;
    mix_numbers(work, &mine);
    Ok(())
}

/// Blocks from and to ranks; whether all ranks have them is agreed upon.
fn blocks(world: &Comm, work: &mut Work) -> Result<()> {
    let size = world.size();
    let root = work.step as usize % size;
    let own = words(work, 40, 1 + world.rank());
    let gathered = world.gather(&own, root)?;
    mix(work, gathered.unwrap_or_default());
    let parts: Vec<Vec<u64>> = (0..size).map(|rank| words(work, 41, 2 * rank)).collect();
    let parts: Vec<&[u64]> = parts.iter().map(Vec::as_slice).collect();
    let given = if world.rank() == root { parts.as_slice() } else { &[] };
    mix(work, world.scatter(given, root)?);
    let long = if work.step.is_multiple_of(7) { LONG } else { SHORT };
    let mut room = vec![0; size * long];
    world.allgather_into(&words(work, 42, long), &mut room)?;
    mix(work, [sum([room.clone()])]);
    world.alltoall_into(&words(work, 43, size * long), &mut room)?;
    mix(work, [sum([room.clone()])]);
    let mut plan = words(work, 44, SHORT);
    let plan = world.checked(|world| world.broadcast(&mut plan, root).map(|()| plan))?;
    mix(work, plan);
    match world.agree(true)? {
        true => Ok(()),
        false => Err(Error::msg("all ranks said yes, and no was agreed")),
    }
}
