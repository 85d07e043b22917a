//! A receiver whose peer writes what it likes: frames, ring positions and lane words.
//!
//! The endpoint is the one that ships, on a segment of its own; a model of two queues a tag says
//! what an honest sequence of frames must give. Deliberately absent: waiting, since no call has
//! patience here; and messages of more than [`TOTAL_MAX`], for which a receiver takes memory as
//! their sender says.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mainstay_comm::layout::{Control, Layout, Status};
use mainstay_comm::ring::frame_bytes;
use mainstay_host::endpoint::{CommError, Endpoint, EndpointConfig, RequestId, Resume};
use mainstay_host::shm::Segment;
use mainstay_types::frame::Header;
use mainstay_types::limits::{FRAME_HEADER_BYTES, RING_BYTES_MIN};
use mainstay_types::{Epoch, Incarnation, Late, Rank, Version, crc32c};

use crate::source::Source;

const PEER: Rank = Rank(0);
const ME: Rank = Rank(1);
/// Bytes of the longest message that a frame claims to be part of.
const TOTAL_MAX: u64 = 1 << 24;
/// Bytes of the longest message that is sent whole.
const SENT_MAX: u16 = 20_000;
/// Calls of one input.
const CALLS_MAX: usize = 48;

/// A segment, and the receiver's mapping of it.
struct World {
    all: Segment,
    mine: Rc<Segment>,
}

impl World {
    fn new() -> Self {
        let layout = Layout::new(2, RING_BYTES_MIN).expect("a layout");
        let all = Segment::create(layout).expect("a segment");
        let fd = all.fd().expect("its descriptor").try_clone_to_owned().expect("another");
        let mine = Rc::new(Segment::join(&fd, layout, ME).expect("a mapping"));
        Self { all, mine }
    }
}

thread_local! {
    static WORLD: World = World::new();
}

/// What the receiver is asked and what its peer does, one byte each with its arguments: an honest
/// peer's messages arrive, whole and in order, whoever waits for them; with another, every call
/// still returns, and memory is taken for nothing that is not allowed.
///
/// # Panics
/// When that does not hold.
pub fn ring(data: &[u8]) -> bool {
    WORLD.with(|world| {
        world.all.reset_channels();
        for word in [Control::Target, Control::TargetVersion] {
            world.all.control(word).store(0, SeqCst);
        }
        world.all.control(Control::Epoch).store(1, SeqCst);
        let mut source = Source::new(data);
        let Some(mut play) = Play::begin(world, &mut source) else {
            return false;
        };
        for _ in 0..CALLS_MAX {
            if source.is_empty() {
                break;
            }
            play.step(&mut source);
        }
        play.received > 0
    })
}

/// Messages and receives of one tag that have not met.
#[derive(Default)]
struct Queue {
    messages: VecDeque<(u64, Vec<u8>)>,
    posted: VecDeque<usize>,
}

/// A receive, and the message that it has got.
#[derive(Clone)]
struct Posted {
    request: RequestId,
    got: Option<Vec<u8>>,
}

struct Play<'w> {
    world: &'w World,
    endpoint: Endpoint,
    /// Whether all that the peer did so far is what the library would do.
    honest: bool,
    /// Messages that the peer has sent.
    sequence: u64,
    head: u64,
    queues: BTreeMap<u32, Queue>,
    /// Receives that were not waited for.
    requests: Vec<Option<Posted>>,
    version: u64,
    received: u32,
}

impl<'w> Play<'w> {
    fn begin(world: &'w World, source: &mut Source<'_>) -> Option<Self> {
        let mut endpoint = Endpoint::new(EndpointConfig {
            segment: Rc::clone(&world.mine),
            rank: ME,
            may_spin: false,
            audit: false,
            point: Box::new(|_| {}),
            launcher_gone: Box::new(|| false),
        });
        endpoint.set_patience(Some(Duration::ZERO));
        endpoint.set_unexpected_bytes_max(TOTAL_MAX);
        let (mut resume, mut sequence) = (None, 0);
        if source.u8() & 1 == 1 {
            sequence = source.u64();
            let cut = mainstay_ckpt::Cut {
                sent: vec![source.u64(), 0],
                delivered: vec![sequence, 0],
                unexpected: Vec::new(),
                ..mainstay_ckpt::Cut::default()
            };
            let suppress = vec![source.u64(), 0];
            let (late, early) = (Late::default(), Vec::new());
            resume = Some(Resume { version: Version(0), cut, late, suppress, early });
        }
        endpoint.begin_epoch(Epoch(1), &[Incarnation(0); 2], resume).ok()?;
        endpoint.end_prologue();
        Some(Self {
            world,
            endpoint,
            honest: true,
            sequence,
            head: 0,
            queues: BTreeMap::new(),
            requests: Vec::new(),
            version: 0,
            received: 0,
        })
    }

    fn step(&mut self, source: &mut Source<'_>) {
        match source.u8() % 10 {
            0 | 1 => self.send_whole(source),
            2 => self.send_anything(source),
            3 => self.receive(source),
            4 => self.post(source),
            5 => self.wait(source),
            6 => self.answer(source),
            7 => self.capture(source),
            8 => self.set_words(source),
            _ => {
                let progress = self.endpoint.progress();
                assert!(!self.honest || progress.is_ok(), "{progress:?}");
            }
        }
    }

    fn header(&self, tag: u32) -> Header {
        Header {
            source: PEER,
            destination: ME,
            context: 0,
            tag,
            sequence: self.sequence.wrapping_add(1),
            epoch: Epoch(1),
            incarnation: Incarnation(0),
            total: 0,
            offset: 0,
            length: 0,
            colour: 0,
            payload_crc: 0,
        }
    }

    /// Whether so many bytes fit, as an honest writer reckons.
    fn has_room(&self, bytes: u64) -> bool {
        let tail = self.world.all.tail(ME, PEER).load(SeqCst);
        self.head.wrapping_sub(tail).saturating_add(bytes) <= RING_BYTES_MIN as u64
    }

    fn put(&mut self, header: &[u8; FRAME_HEADER_BYTES], payload: &[u8]) {
        let ring = self.world.all.layout().ring(PEER, ME);
        self.world.all.put_line(ring, self.head, header);
        self.world.all.ring_in(ring, self.head + FRAME_HEADER_BYTES as u64, payload);
        self.head += frame_bytes(payload.len());
        self.world.all.head(PEER, ME).store(self.head, SeqCst);
    }

    /// A message in frames of a length that the input chooses.
    fn send_whole(&mut self, source: &mut Source<'_>) {
        let (tag, fill) = (u32::from(source.u8() % 3), source.u8());
        let total = usize::from(source.u16() % SENT_MAX);
        let part = 1024 * usize::from(1 + source.u8() % 16);
        let payload: Vec<u8> = (0..total).map(|i| (i as u8).wrapping_mul(7) ^ fill).collect();
        let frames = payload.len().div_ceil(part).max(1) as u64;
        if !self.has_room(frames * frame_bytes(part)) {
            return;
        }
        let parts: Vec<&[u8]> = if total == 0 { vec![&[]] } else { payload.chunks(part).collect() };
        let mut offset = 0;
        for chunk in parts {
            let length = u32::try_from(chunk.len()).expect("a frame");
            let header = Header {
                total: total as u64,
                offset,
                length,
                payload_crc: crc32c(chunk),
                ..self.header(tag)
            };
            offset += u64::from(length);
            self.put(&header.encode(), chunk);
        }
        self.sequence = self.sequence.wrapping_add(1);
        let queue = self.queues.entry(tag).or_default();
        match queue.posted.pop_front() {
            None => queue.messages.push_back((self.sequence, payload)),
            Some(request) => {
                if let Some(posted) = &mut self.requests[request] {
                    posted.got = Some(payload);
                }
            }
        }
    }

    /// A frame with some fields of the input's choice, and the right checksums or wrong ones.
    fn send_anything(&mut self, source: &mut Source<'_>) {
        let payload = source.text(60).into_bytes();
        if !self.has_room(frame_bytes(payload.len())) {
            return;
        }
        self.honest = false;
        let which = source.u16();
        let mut chosen = |bit: u32, honest: u64| match which >> bit & 1 {
            0 => honest,
            _ => source.u64(),
        };
        let low = |value: u64| (value & u64::from(u32::MAX)) as u32;
        let length = payload.len() as u64;
        let header = self.header(0);
        let header = Header {
            source: Rank(low(chosen(0, 0)) & 0xFFFF),
            destination: Rank(low(chosen(1, 1)) & 0xFFFF),
            context: low(chosen(2, 0)),
            tag: low(chosen(3, 0)),
            sequence: chosen(4, header.sequence),
            epoch: Epoch(low(chosen(5, 1))),
            incarnation: Incarnation(low(chosen(6, 0))),
            total: chosen(7, length) % TOTAL_MAX,
            offset: chosen(8, 0),
            length: low(chosen(9, length)),
            colour: low(chosen(10, 0)),
            payload_crc: low(chosen(11, crc32c(&payload).into())),
        };
        let mut bytes = header.encode();
        if which >> 12 & 1 == 1 {
            bytes[usize::from(source.u8()) % FRAME_HEADER_BYTES] ^= 1 << (source.u8() % 8);
        }
        self.put(&bytes, &payload);
    }

    fn receive(&mut self, source: &mut Source<'_>) {
        let (tag, room) = (u32::from(source.u8() % 3), usize::from(source.u16() % SENT_MAX));
        let mut buffer = vec![0; room];
        let got = self.endpoint.recv_into(PEER, 0, tag, &mut buffer);
        self.received += u32::from(got.is_ok());
        if !self.honest {
            return;
        }
        let messages = &mut self.queues.entry(tag).or_default().messages;
        let next = messages.front().map(|(_, payload)| payload);
        match got {
            Ok(length) => {
                assert_eq!(Some(&buffer[..length]), next.map(Vec::as_slice));
                messages.pop_front();
            }
            Err(CommError::Timeout) => assert_eq!(next, None, "a message was not received"),
            Err(CommError::Truncated { from, tag: of, needed, room: given }) => {
                assert!((from, of) == (PEER, tag) && given == room as u64 && needed > given);
                assert_eq!(next.map(|payload| payload.len() as u64), Some(needed));
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn post(&mut self, source: &mut Source<'_>) {
        let tag = u32::from(source.u8() % 3);
        let request = match self.endpoint.irecv(PEER, 0, tag) {
            Ok(request) => request,
            Err(error) => return assert!(!self.honest, "{error}"),
        };
        let queue = self.queues.entry(tag).or_default();
        let got = queue.messages.pop_front().map(|(_, payload)| payload);
        if got.is_none() {
            queue.posted.push_back(self.requests.len());
        }
        self.requests.push(Some(Posted { request, got }));
    }

    fn wait(&mut self, source: &mut Source<'_>) {
        let Some(i) = usize::from(source.u8()).checked_rem(self.requests.len()) else {
            return;
        };
        let Some(Posted { request, got: expected }) = self.requests[i].clone() else {
            return;
        };
        let complete = self.endpoint.test(request);
        let got = self.endpoint.wait(request);
        if self.honest {
            assert_eq!(complete, Ok(expected.is_some()));
            match &expected {
                Some(payload) => assert_eq!(got.as_ref(), Ok(payload)),
                None => assert_eq!(got, Err(CommError::Timeout)),
            }
        }
        if got.is_ok() {
            self.received += 1;
            self.requests[i] = None;
        }
    }

    /// The receiver sends, into a ring whose reader's word may be a lie.
    fn answer(&mut self, source: &mut Source<'_>) {
        if source.u8() & 1 == 1 {
            self.honest = false;
            self.world.all.tail(PEER, ME).store(source.u64(), SeqCst);
        }
        let length = usize::from(source.u16() % SENT_MAX);
        let sent = self.endpoint.send(PEER, 0, 0, &vec![1; length]);
        let fine = matches!(sent, Ok(()) | Err(CommError::Timeout));
        assert!(!self.honest || fine, "{sent:?}");
    }

    fn capture(&mut self, source: &mut Source<'_>) {
        let late = source.u8() & 1 == 1;
        self.world.all.control(Control::Target).store(u64::from(late), SeqCst);
        self.world.all.control(Control::TargetVersion).store(self.version + 1, SeqCst);
        if let Ok(cut) = self.endpoint.cut(Version(self.version + 1)) {
            self.version += 1;
            if self.honest {
                let all = self.queues.values().flat_map(|queue| &queue.messages);
                let mut expected: Vec<&(u64, Vec<u8>)> = all.collect();
                expected.sort();
                let kept =
                    cut.unexpected.iter().map(|message| (message.sequence, &message.payload));
                assert!(kept.eq(expected.iter().map(|(sequence, payload)| (*sequence, payload))));
                assert_eq!(cut.delivered[PEER.index()], self.sequence);
            }
        }
        let _late = self.endpoint.late_ready();
    }

    /// Words of the peer's lane that say what the input likes.
    fn set_words(&mut self, source: &mut Source<'_>) {
        let (which, value) = (source.u8(), source.u64());
        match which % 3 {
            0 => self.world.all.status(PEER, Status::CapVersion).store(value, SeqCst),
            1 => self.world.all.cap_sent(PEER, ME).store(value, SeqCst),
            _ => {
                self.honest = false;
                self.world.all.head(PEER, ME).store(value, SeqCst);
            }
        }
        let _late = self.endpoint.late_ready();
    }
}
