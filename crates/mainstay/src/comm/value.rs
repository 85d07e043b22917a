//! Values of any serializable type as messages.
//!
//! A value travels as a header, which tells it from plain data and names its type, and its bytes in
//! `postcard`. The type is told by a sum over its name, in which those that serde writes alike are one:
//! a reference or a box and what it refers to, `str` and `String`, a slice and a `Vec`. Invariants:
//! bytes that are not one whole value of the type asked for are an error that names both sides, and
//! never a value; no length is believed beyond the bytes that came.
//! Deliberately absent: speed; plain data is sent as it lies in memory, a value is copied.

mod names;

use std::any::type_name;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::names::type_sum;
use super::{Comm, Source, Status, Tag};
use crate::{Error, Result};

/// The first bytes of a value.
const MAGIC: [u8; 4] = *b"MSV1";
/// Magic, sum of the type, length of its name, length of the value.
const HEADER_BYTES: usize = MAGIC.len() + 4 + 1 + 8;

/// Why a message did not become the value asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The message is plain data.
    #[error(
        "rank {source_rank} sent {bytes} bytes of plain data where rank {receiver} receives a value \
         of type `{wanted}`: receive them with `recv`, or send with `send_value`"
    )]
    Plain {
        /// The rank that sent it.
        source_rank: usize,
        /// The rank that received it.
        receiver: usize,
        /// Bytes of the message.
        bytes: usize,
        /// The type asked for.
        wanted: &'static str,
    },
    /// The message is a value of another type.
    #[error(
        "rank {source_rank} sent a value of type `{sent}`, which rank {receiver} cannot read as one \
         of type `{wanted}` ({why}): send and receive the same type"
    )]
    Type {
        /// The rank that sent it.
        source_rank: usize,
        /// The rank that received it.
        receiver: usize,
        /// The type that was sent, as far as it has room.
        sent: String,
        /// The type asked for.
        wanted: &'static str,
        /// What did not fit.
        why: String,
    },
    /// The value cannot be serialized.
    #[error("a value of type `{sent}` cannot be sent: {why}")]
    Unsendable {
        /// Its type.
        sent: &'static str,
        /// What its serializer said.
        why: String,
    },
    /// The root of a broadcast gave nothing.
    #[error("rank {root} is the root of a broadcast and gives no value: give it `Some`")]
    NoValue {
        /// The root.
        root: usize,
    },
}

impl Comm {
    /// Sends a value of any type that `serde` can serialize; it is received with
    /// [`Comm::recv_value`].
    ///
    /// # Errors
    /// As [`Comm::send`]; [`ValueError::Unsendable`] for what its serializer refuses.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// use mainstay::Any;
    /// let world = job.world();
    /// let range = ("north", vec![Some(1.5), None]);
    /// world.send_value(&range, 0, 7)?;
    /// let (range, status) = world.recv_value::<(String, Vec<Option<f64>>)>(Any, 7)?;
    /// assert_eq!((range.0.as_str(), range.1.len(), status.source()), ("north", 2, 0));
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn send_value<T: Serialize + ?Sized>(
        &self,
        value: &T,
        destination: usize,
        tag: u32,
    ) -> Result<()> {
        self.send(&encode(value)?, destination, tag)
    }

    /// Receives a value. A message that is none, or one of another type, is taken and an error.
    ///
    /// # Errors
    /// As [`Comm::recv`]; [`ValueError`] for a message that is no such value.
    pub fn recv_value<T: DeserializeOwned>(
        &self,
        source: impl Into<Source>,
        tag: impl Into<Tag>,
    ) -> Result<(T, Status)> {
        let (bytes, status) = self.recv_vec::<u8>(source, tag)?;
        Ok((self.value(&bytes, status.source())?, status))
    }

    /// Gives every rank the value of `root`, which gives `Some`; what others give is not looked at.
    ///
    /// # Errors
    /// As [`Comm::broadcast`]; [`ValueError`] as in [`Comm::send_value`] and [`Comm::recv_value`],
    /// and at a root that gives no value.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let world = job.world();
    /// let plan = (world.rank() == 0).then(|| vec!["mesh".to_owned(), "solve".to_owned()]);
    /// let plan = world.broadcast_value(plan, 0)?;
    /// assert_eq!(plan[1], "solve");
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn broadcast_value<T>(&self, value: Option<T>, root: usize) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
    {
        if self.rank() != root {
            let mut length = [0_u64];
            self.broadcast(&mut length, root)?;
            let mut bytes = room(length[0])?;
            self.broadcast(&mut bytes, root)?;
            return self.value(&bytes, root);
        }
        let value = value.ok_or(ValueError::NoValue { root })?;
        let mut bytes = encode(&value)?;
        self.broadcast(&mut [bytes.len() as u64], root)?;
        self.broadcast(&mut bytes, root)?;
        Ok(value)
    }

    /// Gives `root` the values of all ranks, in rank order.
    ///
    /// # Errors
    /// As [`Comm::gather`]; [`ValueError`] as in [`Comm::send_value`] and [`Comm::recv_value`].
    pub fn gather_values<T>(&self, value: &T, root: usize) -> Result<Option<Vec<T>>>
    where
        T: Serialize + DeserializeOwned,
    {
        let all = self.gather(&encode(value)?, root)?;
        all.map(|bytes| self.values(&bytes)).transpose()
    }

    /// Gives every rank the values of all ranks, in rank order.
    ///
    /// # Errors
    /// As [`Comm::allgather`]; [`ValueError`] as in [`Comm::send_value`] and [`Comm::recv_value`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> mainstay::Result<()> { mainstay::run(|job| {
    /// let names = job.world().allgather_values(&format!("rank {}", job.rank()))?;
    /// assert_eq!(names[0], "rank 0");
    /// # job.finish([0_u8]) }) }
    /// ```
    pub fn allgather_values<T>(&self, value: &T) -> Result<Vec<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let all = self.allgather(&encode(value)?)?;
        self.values(&all)
    }

    /// The value that a message of `source` is.
    fn value<T: DeserializeOwned>(&self, bytes: &[u8], source: usize) -> Result<T> {
        let receiver = self.rank();
        match Encoded::first(bytes) {
            Some((encoded, [])) => Ok(encoded.decode(source, receiver)?),
            _ => {
                let (bytes, wanted) = (bytes.len(), type_name::<T>());
                Err(ValueError::Plain { source_rank: source, receiver, bytes, wanted }.into())
            }
        }
    }

    /// The values of all ranks, one behind the other.
    fn values<T: DeserializeOwned>(&self, mut bytes: &[u8]) -> Result<Vec<T>> {
        let mut values = Vec::new();
        for source in 0..self.size() {
            let Some((encoded, rest)) = Encoded::first(bytes) else {
                return Err(Error::msg(format!(
                    "the value of rank {source} did not come whole: every rank has to call the \
                     same collective"
                )));
            };
            values.push(encoded.decode(source, self.rank())?);
            bytes = rest;
        }
        Ok(values)
    }
}

/// Room for a value of so many bytes, unless the machine has none: the root called something else.
fn room(length: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(length).map_err(|_| {
        Error::msg(format!(
            "the root's value claims {length} bytes, for which there is no memory: every rank has \
             to call the same collective"
        ))
    })?;
    bytes.resize(length, 0);
    Ok(bytes)
}

/// A value as it travels.
struct Encoded<'a> {
    type_sum: u32,
    type_name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// The value at the front of `bytes`, and what follows it.
    fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let (magic, header) = header.split_first_chunk()?;
        let (type_sum, lengths) = header.split_first_chunk()?;
        let type_sum = u32::from_le_bytes(*type_sum);
        let (name, value) = lengths.split_first()?;
        let value = usize::try_from(u64::from_le_bytes(value.try_into().ok()?)).ok()?;
        if *magic != MAGIC {
            return None;
        }
        let (type_name, rest) = rest.split_at_checked(usize::from(*name))?;
        let (value, rest) = rest.split_at_checked(value)?;
        Some((Self { type_sum, type_name, value }, rest))
    }

    fn decode<T: DeserializeOwned>(&self, source: usize, receiver: usize) -> Result<T, ValueError> {
        let why = match self.type_sum == type_sum::<T>() {
            // Bytes that happen to fit would be another value.
            false => "the types differ".to_owned(),
            true => match postcard::take_from_bytes(self.value) {
                Ok((value, [])) => return Ok(value),
                Ok((_, rest)) => format!("{} bytes are left over", rest.len()),
                Err(error) => error.to_string(),
            },
        };
        let sent = String::from_utf8_lossy(self.type_name).into_owned();
        let wanted = type_name::<T>();
        Err(ValueError::Type { source_rank: source, receiver, sent, wanted, why })
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, ValueError> {
    let name = type_name::<T>().as_bytes();
    let name = &name[..name.len().min(usize::from(u8::MAX))];
    let mut bytes = Vec::from(MAGIC);
    bytes.extend(type_sum::<T>().to_le_bytes());
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend([0; 8]);
    bytes.extend(name);
    let head = bytes.len();
    let mut bytes = postcard::to_extend(value, bytes).map_err(|error| ValueError::Unsendable {
        sent: type_name::<T>(),
        why: error.to_string(),
    })?;
    let length = (bytes.len() - head) as u64;
    bytes[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Any;

    fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Option<Result<T, ValueError>> {
        let (encoded, rest) = Encoded::first(bytes)?;
        rest.is_empty().then(|| encoded.decode(1, 0))
    }

    #[test]
    fn a_value_is_read_back_and_every_truncation_is_none() {
        let value = (1_u8, "two".to_owned(), vec![3.0_f64], Some([4_i32; 2]));
        let bytes = encode(&value).unwrap();
        assert_eq!(decoded(&bytes), Some(Ok(value)));
        for end in 0..bytes.len() {
            assert!(decoded::<String>(&bytes[..end]).is_none());
        }
    }

    /// Whatever lengths a message claims, it makes a value, an error or nothing.
    #[test]
    fn lengths_are_not_believed() {
        let mut bytes = encode(&vec![1_u64; 3]).unwrap();
        let at = HEADER_BYTES - 8;
        for length in [0, u64::MAX, 1 << 40, 5] {
            bytes[at..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
            assert!(decoded::<Vec<u64>>(&bytes).is_none(), "{length}");
        }
        assert!(room(u64::MAX).unwrap_err().to_string().contains("no memory"));
        // 2^63 elements that are not there.
        let huge = [[0xFF; 9].as_slice(), &[0x01]].concat();
        let type_sum = type_sum::<Vec<u64>>();
        let encoded = Encoded { type_sum, type_name: b"Vec<u64>", value: &huge };
        let error = encoded.decode::<Vec<u64>>(1, 0).unwrap_err();
        assert!(matches!(error, ValueError::Type { source_rank: 1, receiver: 0, .. }), "{error}");
        assert!(encoded.decode::<String>(1, 0).is_err());
    }

    #[test]
    fn types_that_serde_writes_alike_are_one_and_no_others() {
        type Owned = (String, Vec<Option<String>>, u8);
        assert_eq!(type_sum::<(&str, &[Option<Box<str>>], &u8)>(), type_sum::<Owned>());
        let sums =
            [type_sum::<u32>(), type_sum::<char>(), type_sum::<[u32; 2]>(), type_sum::<[u32]>()];
        assert!((1..4).all(|i| !sums[..i].contains(&sums[i])));
        // The same two bytes.
        let error = decoded::<(u8, i8)>(&encode(&(1_u8, true)).unwrap()).unwrap().unwrap_err();
        let told = error.to_string();
        assert!(told.contains("`(u8, bool)`") && told.contains("`(u8, i8)` (the types differ)"));
    }

    #[test]
    fn another_type_and_plain_data_are_errors_that_name_both_sides() {
        crate::run(|job| {
            let world = job.world();
            world.send_value("text", 0, 1)?;
            let error = world.recv_value::<(u64, u64)>(0, 1).unwrap_err();
            let told = error.to_string();
            assert!(told.contains("`str`") && told.contains("`(u64, u64)`"), "{told}");
            assert!(matches!(error.downcast_ref(), Some(ValueError::Type { .. })));

            world.send(&[1.0_f64], 0, 1)?;
            let error = world.recv_value::<f64>(Any, Any).unwrap_err();
            let told = error.to_string();
            assert!(told.contains("8 bytes of plain data") && told.contains("`f64`"), "{told}");

            let error = world.broadcast_value::<u8>(None, 0).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(ValueError::NoValue { root: 0 })));
            assert_eq!(world.broadcast_value(Some("x".to_owned()), 0)?, "x");
            assert_eq!(world.gather_values(&(1, 'a'), 0)?, Some(vec![(1, 'a')]));
            assert_eq!(world.allgather_values(&Some(2))?, [Some(2)]);
            job.finish([0_u8])
        })
        .unwrap();
    }
}
