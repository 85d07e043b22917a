//! The way in: frames out of rings, each payload copied once to where its message belongs.
//!
//! Invariants: a frame's room is given back only after its payload proved whole and is taken in;
//! a message that finds no place stays in its ring, and so does all behind it. Deliberately
//! absent: judging headers, matching, and what crosses a cut, which `comm` decides.

use std::sync::atomic::Ordering;

use mainstay_ckpt::kernel::crc_of;
use mainstay_comm::layout::{Counter, Status};
use mainstay_comm::matching::{Label, is_prologue};
use mainstay_comm::message::hash;
use mainstay_comm::ring::{self, Broken};
use mainstay_comm::{Age, Message, Verdict};
use mainstay_types::Rank;
use mainstay_types::frame::Header;
use mainstay_types::limits::FRAME_HEADER_BYTES;
use mainstay_types::wire::Early;

use super::inbound::{Inbound, Sink, State, Target, Unexpected, bytes_of};
use super::{Endpoint, Result};

/// What became of a look at a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    Nothing,
    Frame,
    /// The next message has no place.
    Held,
}

impl Endpoint {
    /// Takes in the first frame of the ring from `source`, if there is one and it has a place.
    #[inline]
    pub(super) fn pull(&mut self, source: Rank, target: &mut Option<Target<'_>>) -> Result<Pulled> {
        let Inbound { at: lies, ring, .. } = &mut self.inbound[source.index()];
        let available = match ring.available(self.segment.word(lies.head)) {
            Ok(0) => return Ok(Pulled::Nothing),
            Ok(bytes) => bytes,
            Err(Broken) => return Err(self.corrupt(source, "the position of its writer")),
        };
        let at = ring.position();
        // The payload's first line comes while the header is looked at.
        self.segment.fetch(lies.ring, at + FRAME_HEADER_BYTES as u64);
        let bytes = self.segment.line(lies.ring, at);
        let Ok(header) = Header::decode_with(&bytes, crc_of) else {
            return Err(self.corrupt(source, "the header of a frame"));
        };
        let frame = ring::frame_bytes(header.length as usize);
        if frame > available {
            return Err(self.corrupt(source, "a frame longer than what was published"));
        }
        let sink = match self.channels_of(header.context).judge(source, &header) {
            Verdict::Next => self.inbound[source.index()].sink,
            Verdict::First => self.place(source, &header, target),
            Verdict::Stale => return Ok(self.drop_frame(source, frame, Counter::Stale)),
            Verdict::Duplicate => return Ok(self.drop_frame(source, frame, Counter::Duplicate)),
            Verdict::Corrupt(what) => return Err(self.corrupt(source, what)),
        };
        let Some(sink) = sink else {
            return Ok(Pulled::Held);
        };
        self.take_in(source, &header, sink, target)?;
        self.release(source, frame);
        Ok(Pulled::Frame)
    }

    fn drop_frame(&mut self, source: Rank, frame: u64, why: Counter) -> Pulled {
        self.count(why);
        self.release(source, frame);
        Pulled::Frame
    }

    #[inline]
    fn release(&mut self, source: Rank, frame: u64) {
        let Inbound { at: lies, ring, held, .. } = &mut self.inbound[source.index()];
        *held = false;
        if ring.release(self.segment.word(lies.tail), frame) {
            self.wake(source);
        }
    }

    /// Finds the place of a message that begins; `None` while there is none.
    #[inline]
    fn place(
        &mut self,
        source: Rank,
        header: &Header,
        target: &mut Option<Target<'_>>,
    ) -> Option<Sink> {
        let label = label(header);
        // Posted receives came before the call under way.
        if let Some(id) = self.matching.arrive(source, label) {
            let request = self.requests.get_mut(id).expect("posted");
            let choice = request.begins((source, label), header.total as usize);
            self.chose(choice, source, label.tag);
            return Some(Sink::Posted(id));
        }
        let mine =
            |t: &&mut Target<'_>| t.state == State::Waiting && t.wanted.matches(source, label);
        if let Some(target) = target.as_mut().filter(mine) {
            let total = usize::try_from(header.total).unwrap_or(usize::MAX);
            target.met = Some((source, label));
            return match target.buffer.room(total) {
                Some(_) => {
                    target.state = State::Filling { sequence: header.sequence, total, got: 0 };
                    Some(Sink::Target)
                }
                None => {
                    target.state = State::TooLong(header.total);
                    None
                }
            };
        }
        // A probe is followed by the receive of what it found, so that may be kept beyond the limit.
        let probed = || self.probing.is_some_and(|wanted| wanted.matches(source, label));
        if !self.credits.admit(source, header.total) {
            if !probed() {
                self.hold(source);
                return None;
            }
            self.credits.charge(source, header.total);
        }
        Some(Sink::Unexpected(self.keep_unexpected(source, label, header)))
    }

    /// Leaves a message in its ring, whose source by that waits before long.
    #[cold]
    fn hold(&mut self, source: Rank) {
        if !std::mem::replace(&mut self.inbound[source.index()].held, true) {
            self.count(Counter::Held);
        }
    }

    /// Tells whoever looks at the rings how many of them are not read on.
    pub(super) fn tell_held(&self) {
        let held = self.inbound.iter().filter(|inbound| inbound.held).count();
        self.segment.status(self.me, Status::Held).store(held as u64, Ordering::Release);
    }

    fn keep_unexpected(&mut self, source: Rank, label: Label, header: &Header) -> u32 {
        let bytes = usize::try_from(header.total).expect("bounded by the codec");
        let id = self.unexpected.insert(Unexpected {
            message: Message {
                source,
                context: label.context,
                tag: label.tag,
                sequence: header.sequence,
                payload: vec![0; bytes],
            },
            whole: false,
        });
        self.matching.keep(source, label, id);
        id
    }

    /// Copies a frame's payload to its place and, when the message is whole, delivers it.
    #[inline]
    fn take_in(
        &mut self,
        source: Rank,
        header: &Header,
        sink: Sink,
        target: &mut Option<Target<'_>>,
    ) -> Result<()> {
        let Inbound { at: lies, ring, .. } = &self.inbound[source.index()];
        let (ring, at) = (lies.ring, ring.position() + FRAME_HEADER_BYTES as u64);
        let buffer = bytes_of(&mut self.requests, &mut self.unexpected, target, sink);
        // The header's lengths were checked against the message's, and that against the buffer.
        let start = header.offset as usize;
        let end = start + header.length as usize;
        let part = &mut buffer[start..end];
        let crc = self.segment.ring_out(ring, at, part);
        if crc != header.payload_crc {
            return Err(self.corrupt(source, "its payload"));
        }
        if let (Sink::Target, Some(target)) = (sink, target.as_mut()) {
            target.state = State::Filling {
                sequence: header.sequence,
                total: header.total as usize,
                got: end,
            };
        }
        let whole = self.channels_of(header.context).accept(source, header);
        self.inbound[source.index()].sink = (!whole).then_some(sink);
        if whole {
            self.deliver(source, header, sink, target);
        }
        Ok(())
    }

    /// Tells whoever waits that a message is whole, after the cut has seen it.
    #[inline]
    fn deliver(
        &mut self,
        source: Rank,
        header: &Header,
        sink: Sink,
        target: &mut Option<Target<'_>>,
    ) {
        self.count(Counter::Delivered);
        let total = header.total as usize;
        // The prologue is in no version, so it crosses no cut.
        if header.colour != self.cut.colour() && !is_prologue(header.context) {
            self.crossed(source, header, sink, target);
        }
        match sink {
            Sink::Target => {
                if let Some(target) = target {
                    let sequence = header.sequence;
                    target.state = State::Done { sequence, total };
                }
            }
            Sink::Posted(id) => {
                let request = self.requests.get_mut(id).expect("posted");
                request.arrived(header.sequence);
            }
            Sink::Unexpected(id) => self.unexpected.get_mut(id).expect("kept").whole = true,
        }
    }

    /// A whole message of another colour than ours: late ones are kept, early ones noted.
    #[cold]
    fn crossed(
        &mut self,
        source: Rank,
        header: &Header,
        sink: Sink,
        target: &mut Option<Target<'_>>,
    ) {
        let Header { context, tag, sequence, .. } = *header;
        let bytes = bytes_of(&mut self.requests, &mut self.unexpected, target, sink);
        let payload = &bytes[..header.total as usize];
        match self.cut.age(header.colour) {
            Age::Early => {
                let hash = hash(context, tag, payload);
                self.cut.note_early(header.colour, Early { peer: source, sequence, hash });
            }
            Age::Late if self.cut.wants_late(source) => {
                let payload = payload.to_vec();
                self.cut.keep_late(Message { source, context, tag, sequence, payload });
                self.count(Counter::Late);
            }
            Age::Late | Age::Same => {}
        }
    }
}

fn label(header: &Header) -> Label {
    Label { context: header.context, tag: header.tag }
}
