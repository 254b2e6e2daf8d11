//! Practice: the real desk, its real rules, a colleague who is a program, and callers who do not exist. No network, and no vault of
//! anybody's: what it needs lies in a temporary folder, sealed under a passphrase that nobody has, and goes when the board ends.

use core::time::Duration;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use porchlight_client::desk::{
    AnswerState, Desk, DeskError, HandOverPlan, Item, LinePlan, Office, OfficeError, Posted, ProposalState, Safeguarding,
};
use porchlight_client::duty::DutyNews;
use porchlight_client::outbox::{Clock as _, SystemClock};
use porchlight_client::vault::Passphrase;
use porchlight_proto::api::{DeskOutcome, DeskReply, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply};
use porchlight_proto::card::RelayAddress;
use porchlight_proto::cell::up::UpCell;
use porchlight_proto::cert::Role;
use porchlight_proto::letter::{Letter, Status};
use porchlight_proto::line::{CallerId, Gate, LineId, Seat};
use porchlight_proto::phrase::{Language, Phrase};
use porchlight_proto::roster::{Rosters, UncheckedRoster};
use porchlight_proto::sign::SecretKey;
use porchlight_proto::time::{Millis, Seconds, Timing};
use porchlight_proto::visit::{Clock, To, Visit};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The number of the relay that there is none of.
const RELAY: u8 = 0;
/// How long ago the invented line began.
const SINCE: u64 = 30 * 3600;
/// How often the invented team exchanges what it has to say.
const EXCHANGE_EVERY: Duration = Duration::from_secs(2);
/// How long the colleague thinks, and how long an invented caller waits before she writes back.
const COLLEAGUE_S: u64 = 10;
const CALLER_S: u64 = 25;

/// Why practice cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PracticeError {
    /// No temporary folder can be made.
    #[error("no temporary folder can be made: {0}")]
    Folder(#[from] io::Error),
    /// The desk. A fault of this program.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// What an invented caller sends is refused. A fault of this program.
    #[error("an invented letter is refused")]
    Letter,
}

/// An invented line with its team and callers.
pub struct Practice {
    you: Office,
    colleague: Office,
    world: World,
    callers: Vec<Invented>,
    folder: Folder,
    exchange_at: Duration,
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_to_the_system = fs::remove_dir_all(&self.0);
    }
}

/// What stands in for relays and time.
struct World {
    rng: ChaCha20Rng,
    root: SecretKey,
    rosters: Rosters,
    lane: Vec<UpCell>,
    serial: u32,
}

/// A caller who does not exist.
struct Invented {
    id: CallerId,
    visit: Visit,
    tongue: Language,
    thanked: bool,
}

/// Hours ago, who, how she is, her words, what she asks for.
struct Sign {
    minutes_ago: u64,
    who: usize,
    status: Option<Status>,
    text: &'static str,
    quiet: bool,
    relative: bool,
    next_h: Option<u64>,
}

const fn sign(minutes_ago: u64, who: usize, status: Option<Status>, text: &'static str) -> Sign {
    Sign { minutes_ago, who, status, text, quiet: false, relative: false, next_h: None }
}

const TONGUES: [Language; 7] = [Language::Ko, Language::Ko, Language::Zh, Language::Ko, Language::Zh, Language::Ko, Language::En];

/// What was written before the shift begins. Nobody has lived it. Korean and Chinese are drafts, as everything for workers.
const SIGNS: [Sign; 12] = [
    Sign { next_h: Some(2), ..sign(1740, 5, Some(Status::Safe), "잘 있어요.") },
    sign(1500, 3, Some(Status::Talk), "안녕하세요. 처음 써 봐요."),
    Sign {
        relative: true, ..sign(1200, 1, Some(Status::Moving), "이모, 저 다음 주에 다른 곳으로 옮길 것 같아요.")
    },
    sign(700, 2, Some(Status::Safe), "我平安，孩子也好。"),
    sign(610, 3, None, "아이가 열이 나요. 약을 어떻게 먹이는지 물어봐도 될까요?"),
    Sign { next_h: Some(24), ..sign(420, 4, Some(Status::Talk), "想问一下，孩子上学的事能不能帮忙看看？") },
    Sign { relative: true, ..sign(250, 1, None, "이모 소식 기다릴게요.") },
    sign(180, 6, Some(Status::Safe), "I am all right. Thank you for last week."),
    Sign { quiet: true, ..sign(95, 2, Some(Status::Talk), "这两天家里有人，先不要回复我。") },
    sign(55, 0, Some(Status::Help), "도움이 필요해요. 오늘 집주인이 나가라고 했어요."),
    sign(40, 0, None, "아직은 집에 있어요."),
    sign(14, 4, None, "不急，有空再说。"),
];

impl core::fmt::Debug for Practice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Practice")
    }
}

impl Practice {
    /// Invents a line, its team, its callers and what they wrote in the last day. Takes a few seconds.
    ///
    /// # Errors
    ///
    /// [`PracticeError`].
    pub fn begin(mut rng: ChaCha20Rng) -> Result<Self, PracticeError> {
        let folder = Folder(fresh_folder(&mut rng)?);
        let now = SystemClock.wall();
        let start = Seconds(now.seconds().0.saturating_sub(SINCE));
        let root = SecretKey::generate(&mut rng);
        let passphrase = Passphrase::new(data_encoding::HEXLOWER.encode(&word(&mut rng)));
        let founded = Office::found(&folder.0.join("you"), &passphrase, &root, &plan()?, start, &mut rng)?;
        let mut you = founded.office;
        let world_rng = ChaCha20Rng::from_rng(&mut rng);
        let mut world = World { rng: world_rng, root, rosters: Rosters::new(), lane: Vec::new(), serial: 0 };
        world.publish(&mut you, start)?;
        let (mut colleague, request) = Office::join(&folder.0.join("colleague"), &passphrase, &mut rng)?;
        let admission = you.act(&mut rng, |desk, rng| desk.admit(&request, (Role::Worker, Seat::new(1)), start, rng))?;
        colleague.accept(&admission, start, &mut rng)?;
        world.publish(&mut you, start)?;
        let callers = TONGUES.into_iter().map(|tongue| world.invent(tongue, start)).collect::<Result<Vec<_>, _>>()?;
        let mut practice = Self { you, colleague, world, callers, folder, exchange_at: Duration::ZERO };
        practice.live_through(now)?;
        Ok(practice)
    }

    /// What happened before the worker comes: letters, and what the colleague did about some of them.
    fn live_through(&mut self, now: Millis) -> Result<(), PracticeError> {
        for sign in &SIGNS {
            let at = Millis(now.0.saturating_sub(sign.minutes_ago * 60_000));
            self.write(sign, at)?;
            self.exchange(at)?;
            let colleague_at = at.plus(300_000).seconds();
            match (sign.minutes_ago, self.callers.get(sign.who).map(|caller| caller.id)) {
                (1500, Some(id)) => {
                    self.colleague_answers(id, "글 잘 받았습니다. 언제든 쓰셔도 되고, 쓰지 않으셔도 괜찮습니다.", colleague_at)?
                }
                (700, Some(id)) => self.colleague_answers(id, "收到了，很高兴您和孩子都好。", colleague_at)?,
                (1200, Some(id)) => self.colleague_hands_over(id, at.seconds())?,
                _ => {}
            }
            self.exchange(at.plus(600_000))?;
        }
        self.exchange(now)
    }

    fn colleague_answers(&mut self, id: CallerId, text: &str, at: Seconds) -> Result<(), PracticeError> {
        let plan = porchlight_client::desk::AnswerPlan { text: text.to_owned().into(), ..Default::default() };
        self.colleague.act(&mut self.world.rng, |desk, rng| {
            desk.mark_shown(id, at, rng)?;
            desk.answer(id, &plan, at, rng).map(drop)
        })?;
        Ok(())
    }

    fn colleague_hands_over(&mut self, id: CallerId, at: Seconds) -> Result<(), PracticeError> {
        let plan = HandOverPlan {
            to: None,
            situation: "Moves next week; asked to be answered like by a relative.".to_owned(),
            promised_by_us: "An answer before the weekend.".to_owned(),
            promised_by_her: String::new(),
            risk: "Somebody may read over her shoulder.".to_owned(),
            next_step: "Answer as her aunt would. Ask nothing about the place.".to_owned(),
        };
        self.colleague.act(&mut self.world.rng, |desk, rng| {
            desk.mark_shown(id, at, rng)?;
            desk.set_known(id, (porchlight_proto::event::How::Introduced, "a church abroad"), at, rng)?;
            desk.hand_over(id, &plan, at, rng)
        })?;
        Ok(())
    }

    fn write(&mut self, sign: &Sign, at: Millis) -> Result<(), PracticeError> {
        let caller = self.callers.get_mut(sign.who).ok_or(PracticeError::Letter)?;
        let letter = Letter {
            status: sign.status,
            text: sign.text.to_owned().into(),
            next: sign.next_h.map(|hours| hours * 3600),
            quiet: sign.quiet,
            relative: sign.relative,
            language: Some(caller.tongue),
            ..Letter::default()
        };
        self.world.post(caller, &letter, at)
    }

    /// The desk, as it is now.
    pub(crate) fn view<T>(&mut self, see: impl FnOnce(&Desk) -> T) -> Result<T, OfficeError> {
        self.you.look().map(see)
    }

    /// Changes the desk.
    pub(crate) fn act<T>(
        &mut self,
        change: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<T, DeskError>,
    ) -> Result<T, DeskError> {
        self.you.act(&mut self.world.rng, change)
    }

    /// The next thing that happens.
    pub(crate) async fn next(&mut self, until: Duration) -> Option<DutyNews> {
        SystemClock.sleep_until(until).await;
        let elapsed = SystemClock.elapsed();
        if elapsed < self.exchange_at {
            return None;
        }
        self.exchange_at = elapsed + EXCHANGE_EVERY;
        let now = SystemClock.wall();
        let lived = self.live_on(now);
        match lived {
            Ok(0) => Some(DutyNews::Posted(RELAY)),
            Ok(letters) => Some(DutyNews::Letters(letters)),
            Err(PracticeError::Desk(error)) => Some(DutyNews::Vault(error)),
            Err(_) => None,
        }
    }

    fn live_on(&mut self, now: Millis) -> Result<usize, PracticeError> {
        self.colleague_goes_on(now.seconds())?;
        let before = self.world.lane.len();
        self.callers_write_back(now)?;
        let letters = self.world.lane.len() - before;
        self.exchange(now)?;
        Ok(letters)
    }

    /// The colleague agrees to what is proposed, and accepts whom it is handed.
    fn colleague_goes_on(&mut self, now: Seconds) -> Result<(), PracticeError> {
        let desk = self.colleague.look().map_err(DeskError::from)?;
        let me = desk.device()?;
        let mine = data_encoding::HEXLOWER.encode(&me.0);
        let open = desk.proposals(now).into_iter().filter(|proposal| {
            proposal.state == ProposalState::Open && proposal.by != mine && proposal.time + COLLEAGUE_S <= now.0
        });
        let proposals: Vec<_> = open.filter_map(|proposal| desk.find_proposal(&proposal.by, proposal.seq).ok()).collect();
        let given = desk
            .list(now)
            .into_iter()
            .filter(|row| row.hand_over.as_ref().is_some_and(|over| over.by != mine && over.since + COLLEAGUE_S <= now.0));
        let given: Vec<CallerId> = given.filter_map(|row| desk.find(&row.id).ok()).collect();
        for id in proposals {
            self.colleague.act(&mut self.world.rng, |desk, rng| desk.agree(id, now, rng))?;
        }
        for id in given {
            self.colleague.act(&mut self.world.rng, |desk, rng| desk.accept_hand_over(id, now, rng))?;
        }
        Ok(())
    }

    /// A caller who was answered a while ago says thank you, once.
    fn callers_write_back(&mut self, now: Millis) -> Result<(), PracticeError> {
        let desk = self.you.look().map_err(DeskError::from)?;
        let me = data_encoding::HEXLOWER.encode(&desk.device()?.0);
        let answered = |caller: &Invented| {
            let items = desk.show(caller.id, now.seconds()).map(|thread| thread.items).unwrap_or_default();
            items.iter().any(|item| {
                matches!(item, Item::Answer { by, time, stop: false, state: AnswerState::WithTheRelay | AnswerState::Seen, .. }
                    if *by == me && time + CALLER_S <= now.seconds().0)
            })
        };
        let thankful: Vec<usize> =
            (0..).zip(&self.callers).filter(|(_, caller)| !caller.thanked && answered(caller)).map(|(at, _)| at).collect();
        for at in thankful {
            let Some(caller) = self.callers.get_mut(at) else { continue };
            caller.thanked = true;
            let text = match caller.tongue {
                Language::Ko => "고맙습니다. 마음이 놓여요.",
                Language::Zh => "谢谢，心里踏实多了。",
                Language::En => "Thank you. That helps.",
            };
            let letter = Letter { text: text.to_owned().into(), language: Some(caller.tongue), ..Letter::default() };
            self.world.post(caller, &letter, now)?;
        }
        Ok(())
    }

    /// Both devices read the lane, and each posts a bundle.
    fn exchange(&mut self, now: Millis) -> Result<(), PracticeError> {
        for office in [&mut self.you, &mut self.colleague] {
            self.world.publish(office, now.seconds())?;
            self.world.read(office, now)?;
            self.world.bundle(office, now)?;
        }
        for office in [&mut self.you, &mut self.colleague] {
            self.world.read(office, now)?;
        }
        Ok(())
    }

    /// Where its folder is: for tests, which look whether it goes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }
}

impl World {
    fn notice(&self, now: Millis) -> Notice {
        Notice {
            roster: self.rosters.in_force(now.seconds()).map(|roster| Box::new(*roster.bytes())),
            clock_ms: now,
            difficulty: 0,
            up_epoch: 1,
            beat: Timing::PRODUCTION.beat(now),
            relay_no: RELAY,
            stamp_salt: [0; 16],
            timing: Timing::PRODUCTION,
            up_ttl_s: 259_200,
            desk_beat_ms: 10_000,
            bulletin: [0; 80],
        }
    }

    fn publish(&mut self, office: &mut Office, now: Seconds) -> Result<(), PracticeError> {
        let notice = self.notice(now.millis());
        let rosters = office.act(&mut self.rng, |desk, rng| {
            desk.hear_notice(RELAY, &notice, now)?;
            desk.publish(now, rng)?;
            Ok::<_, DeskError>(desk.rosters_to_put(RELAY))
        })?;
        for bytes in rosters {
            let roster = UncheckedRoster::parse(bytes.as_slice()).and_then(|roster| roster.check_signed(&self.root.public()));
            let roster = roster.map_err(DeskError::from)?;
            let serial = roster.serial();
            // An older one changes nothing, here as at a relay.
            let _known = self.rosters.insert(roster, now);
            self.serial = self.serial.max(serial);
            office.act(&mut self.rng, |desk, _| {
                desk.roster_put(RELAY, &bytes);
                Ok::<_, DeskError>(())
            })?;
        }
        Ok(())
    }

    fn invent(&mut self, tongue: Language, now: Seconds) -> Result<Invented, PracticeError> {
        let stretched = Phrase::generate(&mut self.rng).stretch(&LineId::from_root(&self.root.public()));
        let id = stretched.caller();
        let mut visit = Visit::open(self.root.public(), &mut self.rng);
        let notice = self.notice(now.millis()).to_bytes();
        visit.notice(notice.as_slice(), Some(RELAY), now.millis(), Clock::Own).map_err(|_| PracticeError::Letter)?;
        visit.know(stretched, now.millis(), &mut self.rng);
        Ok(Invented { id, visit, tongue, thanked: false })
    }

    fn post(&mut self, caller: &mut Invented, letter: &Letter, now: Millis) -> Result<(), PracticeError> {
        let wrong = |_| PracticeError::Letter;
        let notice = self.notice(now).to_bytes();
        caller.visit.notice(notice.as_slice(), Some(RELAY), now, Clock::Own).map_err(wrong)?;
        caller.visit.write(letter, To::Desk, now).map_err(wrong)?;
        while !caller.visit.all_in_box() {
            let post = caller.visit.beat(RELAY, now, &mut self.rng).map_err(wrong)?;
            self.lane.push(UpPost::parse(post.bytes.as_slice()).map_err(|_| PracticeError::Letter)?.cell);
            let serial = caller.visit.roster().map_or(0, |roster| roster.serial());
            let reply = UpReply { outcome: UpOutcome::Stored, difficulty: 0, serial, clock_ms: now }.to_bytes();
            caller.visit.posted(post.ticket, RELAY, Some(&reply)).map_err(wrong)?;
        }
        Ok(())
    }

    fn read(&mut self, office: &mut Office, now: Millis) -> Result<(), PracticeError> {
        loop {
            let (life, after) = office.look().map_err(DeskError::from)?.after(RELAY);
            let after = if life == 1 { after } else { 0 };
            let skip = usize::try_from(after).unwrap_or(usize::MAX);
            let page = LanePage { life: 1, first: after + 1, cells: self.lane.iter().skip(skip).take(512).cloned().collect() };
            if !office.act(&mut self.rng, |desk, rng| desk.take_page(RELAY, &page, now, rng))?.more {
                return Ok(());
            }
        }
    }

    fn bundle(&mut self, office: &mut Office, now: Millis) -> Result<(), PracticeError> {
        // Enough bundles for everything there is to say.
        for _ in 0..6 {
            let bundle = office.act(&mut self.rng, |desk, rng| desk.bundle(RELAY, now, rng))?;
            self.lane.extend(bundle.beat.team_cells);
            let written = SlotOutcome::Written;
            let reply =
                DeskReply { outcome: DeskOutcome::Done, fast: written, slow: written, serial: self.serial, clock_ms: now };
            office.act(&mut self.rng, |desk, _| {
                desk.bundle_result(bundle.ticket, Posted::Answered(&reply), now);
                Ok::<_, DeskError>(())
            })?;
        }
        Ok(())
    }
}

fn plan() -> Result<LinePlan, PracticeError> {
    let gate = Gate::parse("practice").map_err(|_| PracticeError::Letter)?;
    Ok(LinePlan {
        relays: vec![RelayAddress { url: "https://practice.invalid".to_owned(), gates: vec![gate], pin: None, number: RELAY }],
        timing: Timing::PRODUCTION,
        up_ttl: Seconds(259_200),
        period: Seconds(86_400),
        answer_within: 2,
        reply_weeks: 9,
        emergency: false,
        safeguarding: Safeguarding::Unstaffed,
    })
}

fn word(rng: &mut ChaCha20Rng) -> [u8; 16] {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A folder of its own, in memory where there is a file system in memory.
fn fresh_folder(rng: &mut ChaCha20Rng) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let memory = Path::new("/dev/shm");
    let above = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let path = above.join(format!("porchlight-practice-{}-{}", std::process::id(), data_encoding::HEXLOWER.encode(&word(rng))));
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}
