//! Reading an event: its fields by number, before it is known that all of its type are there.
use super::{Act, AnswerEvent, AnswerKind, Board, DeskSecret, Event, HandOver, How, Proposal};
use crate::cbor::{BadCbor, array, items, read_map};
use crate::event::Admitted;
use crate::limits::{BOARD_BLOBS_MAX, KEEP_DAYS_MAX, TEXT_MAX};
use crate::line::{CallerId, DeviceId};
use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use minicbor::Decoder;
use zeroize::Zeroizing;

/// The most devices an acknowledgement names.
const DEVICES_MAX: u64 = 64;

/// The fields of an event of a known type, before it is known that all of them are there.
#[derive(Default)]
pub(super) struct Fields<'b> {
    kind: u64,
    bytes: [Option<&'b [u8]>; 9],
    uints: [Option<u64>; 9],
    texts: [Option<&'b str>; 8],
    slots: Option<Vec<u8>>,
    held: Option<BTreeMap<DeviceId, u64>>,
}

impl<'b> Fields<'b> {
    pub(super) fn read(bytes: &'b [u8], kind: u64) -> Result<Self, BadCbor> {
        let mut fields = Self { kind, ..Self::default() };
        read_map(bytes, |key, value| fields.take(key, value))?;
        Ok(fields)
    }
    fn take(&mut self, key: u64, value: &mut Decoder<'b>) -> Result<bool, BadCbor> {
        match (self.kind, key) {
            (_, 0) => return Ok(false),
            (2 | 16, 1) => self.held = Some(read_held(value)?),
            (3 | 21, 3) | (5 | 23, 2) | (14, 3..=7) | (22, 2 | 3) | (26, 4) => {
                let text = value.str()?;
                *self.texts.get_mut(usize::try_from(key).map_err(|_| BadCbor)?).ok_or(BadCbor)? = Some(text);
            }
            (9, 1) => self.slots = Some((0..items(value, 8)?).map(|_| Ok(value.u8()?)).collect::<Result<_, BadCbor>>()?),
            (1 | 3..=8 | 11..=15 | 17..=24 | 26..=31, 1)
            | (2 | 6 | 7 | 8 | 10..=12 | 14 | 15 | 24 | 29, 2)
            | (6, 3 | 5)
            | (12 | 17 | 26..=28, 3)
            | (17, 6) => {
                let bytes = value.bytes()?;
                *self.bytes.get_mut(usize::try_from(key).map_err(|_| BadCbor)?).ok_or(BadCbor)? = Some(bytes);
            }
            (2 | 7 | 15 | 19, 3) | (3 | 16..=21 | 26..=28, 2) | (6, 4 | 6 | 7 | 8) | (10 | 25, 1) | (17, 4 | 5) | (21, 4) => {
                let uint = value.u64()?;
                *self.uints.get_mut(usize::try_from(key).map_err(|_| BadCbor)?).ok_or(BadCbor)? = Some(uint);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
    fn bytes(&self, key: usize) -> Result<&'b [u8], BadCbor> {
        self.bytes.get(key).copied().flatten().ok_or(BadCbor)
    }
    fn array<const N: usize>(&self, key: usize) -> Result<[u8; N], BadCbor> {
        self.bytes(key)?.try_into().map_err(|_| BadCbor)
    }
    fn uint<T: TryFrom<u64>>(&self, key: usize) -> Result<T, BadCbor> {
        let uint = self.uints.get(key).copied().flatten().ok_or(BadCbor)?;
        T::try_from(uint).map_err(|_| BadCbor)
    }
    fn text(&self, key: usize) -> Result<String, BadCbor> {
        self.texts.get(key).copied().flatten().filter(|text| text.len() <= TEXT_MAX).map(Into::into).ok_or(BadCbor)
    }
    fn caller(&self) -> Result<CallerId, BadCbor> {
        self.array(1).map(CallerId)
    }
    pub(super) fn event(self, whole: &[u8]) -> Result<Event, BadCbor> {
        Ok(match self.kind {
            1 => Event::DeviceKey(Box::new(self.array(1)?)),
            2 => Event::Acknowledge { life: self.array(2)?, position: self.uint(3)?, held: self.held.ok_or(BadCbor)? },
            3 => Event::Claim { caller: self.caller()?, lease: self.uint(2)?, reason: self.text(3)? },
            4 => Event::Release { caller: self.caller()? },
            5 => Event::Note { caller: self.caller()?, text: self.text(2)? },
            6 => Event::Answer(self.answer()?),
            7 => Event::Shown { caller: self.caller()?, session: self.array(2)?, seq: self.uint(3)? },
            8 => Event::Seen { caller: self.caller()?, answer: self.array(2)? },
            9 => Event::Slots(self.slots.ok_or(BadCbor)?),
            10 => Event::Secret(DeskSecret { period: self.uint(1)?, seed: Zeroizing::new(self.array(2)?) }),
            11 => Event::StopSending { caller: self.caller()?, answer: self.array(2)? },
            12 => Event::Admitted(Admitted {
                desk_cert: Box::new(self.array(1)?),
                device_cert: Box::new(self.array(2)?),
                sealing_key: Box::new(self.array(3)?),
            }),
            13 => Event::Revoked { device: DeviceId(self.array(1)?) },
            14 => Event::HandOver(HandOver {
                caller: self.caller()?,
                to: DeviceId(self.array(2)?),
                situation: self.text(3)?,
                promised_by_us: self.text(4)?,
                promised_by_her: self.text(5)?,
                risk: self.text(6)?,
                next_step: self.text(7)?,
            }),
            15 => Event::Accept { caller: self.caller()?, device: DeviceId(self.array(2)?), seq: self.uint(3)? },
            16 => Event::Ask { since: self.uint(2)?, held: self.held.ok_or(BadCbor)? },
            17 => Event::Board(Board {
                to: DeviceId(self.array(1)?),
                ask: self.uint(2)?,
                root: self.array(3)?,
                relay: self.uint(4)?,
                blobs: Some(self.uint(5)?).filter(|blobs| (1..=BOARD_BLOBS_MAX).contains(blobs)).ok_or(BadCbor)?,
                hash: self.array(6)?,
            }),
            18 => Event::Composing { caller: self.caller()?, lease: self.uint(2)? },
            19 => Event::Shift { device: DeviceId(self.array(1)?), from: self.uint(2)?, until: self.uint(3)? },
            20 => Event::Strike { device: DeviceId(self.array(1)?), seq: self.uint(2)? },
            21 => {
                let how = How::from_code(self.uint(2)?).ok_or(BadCbor)?;
                Event::Known { caller: self.caller()?, how, text: self.text(3)?, day: self.uint(4)? }
            }
            22 => Event::Question { caller: self.caller()?, question: self.text(2)?, answer: self.text(3)? },
            23 => Event::Wish { caller: self.caller()?, text: self.text(2)? },
            24 => Event::Duress { caller: self.caller()?, of: CallerId(self.array(2)?) },
            25 => Event::Keep { days: Some(self.uint(1)?).filter(|days| (1..=KEEP_DAYS_MAX).contains(days)).ok_or(BadCbor)? },
            26 => Event::Propose(Proposal {
                caller: self.caller()?,
                act: Act::from_code(self.uint(2)?).ok_or(BadCbor)?,
                other: CallerId(self.array(3)?),
                text: self.text(4)?,
            }),
            27 => Event::Agree { device: DeviceId(self.array(1)?), seq: self.uint(2)?, hash: self.array(3)? },
            28 => Event::Object { device: DeviceId(self.array(1)?), seq: self.uint(2)?, hash: self.array(3)? },
            29 => Event::Part { caller: self.caller()?, other: CallerId(self.array(2)?) },
            30 => Event::Roster(Box::new(self.array(1)?)),
            31 => Event::SeatKey(self.array(1)?),
            _ => Event::Unknown(whole.into()),
        })
    }
    fn answer(&self) -> Result<AnswerEvent, BadCbor> {
        Ok(AnswerEvent {
            caller: self.caller()?,
            answer: self.array(2)?,
            content: self.bytes(3)?.into(),
            good_until: self.uint(4)?,
            session: self.array(5)?,
            seq: self.uint(6)?,
            kind: match self.uint::<u64>(7)? {
                1 => AnswerKind::Answer,
                2 => AnswerKind::Stop,
                _ => return Err(BadCbor),
            },
            flags: self.uint(8)?,
        })
    }
}

fn read_held(value: &mut Decoder<'_>) -> Result<BTreeMap<DeviceId, u64>, BadCbor> {
    let count = value.map()?.filter(|count| *count <= DEVICES_MAX).ok_or(BadCbor)?;
    let mut held = BTreeMap::new();
    for _ in 0..count {
        if held.insert(DeviceId(array(value)?), value.u64()?).is_some() {
            return Err(BadCbor);
        }
    }
    Ok(held)
}
