//! Every call of SPEC §11, over HTTP/1.1 and h2.

use std::collections::BTreeSet;

use crate::binary::files_under;
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, Floor, LanePage, SlotOutcome, UpOutcome};
use porchlight_proto::cert::DeskCert;
use porchlight_proto::limits::{BLOB_LEN, DOWN_CELL_LEN};
use porchlight_proto::time::{Millis, Seconds, Timing};

const NOBODY: Floor = Floor { life: 0, n: 0 };

#[tokio::test]
async fn a_notice_says_what_the_relay_is_set_to_and_the_roster_in_force() {
    let mut site = Site::new(1);
    site.more = "relay_no = 3\nup_ttl_s = 7200\ndesk_beat_ms = 9000".into();
    let running = site.start().await;
    for http in [Http::One, Http::Two] {
        let mut client = running.client(http).await;
        let notice = running.notice(&mut client).await;
        assert_eq!(notice.timing, Timing::PRODUCTION, "{http:?}");
        assert_eq!((notice.relay_no, notice.up_ttl_s, notice.desk_beat_ms, notice.difficulty), (3, 7200, 9000, 0));
        assert_eq!((notice.clock_ms, notice.beat, u64::from(notice.up_epoch)), (NOON, NOON.0 / 30_000, NOON.0 / 3_600_000));
    }
    let mut client = running.client(Http::Two).await;
    assert!(running.notice(&mut client).await.roster.is_none());
    let roster = site.line.roster(1, Timing::PRODUCTION, None);
    assert_eq!(running.put_roster(&mut client, &roster).await.outcome, DeskOutcome::Done);
    assert_eq!(running.notice(&mut client).await.roster.as_deref(), Some(roster.bytes()));
    assert_eq!(running.post(&mut client, &site.line.post()).await.serial, 1);
}

#[tokio::test]
async fn cells_reach_the_desk_in_the_order_of_their_positions() {
    let site = Site::new(2);
    let running = site.start().await;
    for http in [Http::One, Http::Two] {
        let mut client = running.client(http).await;
        let before = running.page(&mut client, 0, 0, 0).await.last();
        let posts: Vec<_> = (0..11).map(|_| site.line.post()).collect();
        for post in &posts {
            assert_eq!(running.post(&mut client, post).await.outcome, UpOutcome::Stored);
        }
        let life = running.page(&mut client, 0, 0, 0).await.life;
        let page = running.page(&mut client, life, before, 0).await;
        assert_eq!(page.first, before + 1);
        assert!(page.cells.iter().eq(posts.iter().map(|post| &post.cell)), "{http:?}");
        let page = running.page(&mut client, life, before + 9, 0).await;
        assert!(page.cells.iter().eq(posts[9..].iter().map(|post| &post.cell)), "{http:?}");
    }
}

#[tokio::test]
async fn a_position_of_another_life_starts_over_and_the_end_names_the_next_position() {
    let site = Site::new(3);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.page(&mut client, 9, 400, 0).await.first, 1, "nothing held: the next position is the first");
    running.post(&mut client, &site.line.post()).await;
    let page = running.page(&mut client, 9, 400, 0).await;
    assert_eq!((page.first, page.cells.len()), (1, 1));
    let end = running.page(&mut client, page.life, 1, 0).await;
    assert_eq!((end.life, end.first, end.cells.len()), (page.life, 2, 0));
}

#[tokio::test]
async fn a_long_poll_wakes_when_a_cell_comes_and_holds_up_nobody_on_its_connection() {
    let site = Site::new(4);
    let running = site.start().await;
    let mut desk = running.client(Http::Two).await;
    let mut caller = desk.another();
    let life = running.page(&mut desk, 0, 0, 0).await.life;
    let post = site.line.post();
    let (page, reply) = tokio::join!(running.page(&mut desk, life, 0, 30), running.post(&mut caller, &post));
    assert_eq!(reply.outcome, UpOutcome::Stored);
    assert_eq!(page.cells, [post.cell]);
}

#[tokio::test]
async fn stopping_ends_long_polls_at_once_and_loses_no_acknowledged_cell() {
    let site = Site::new(5);
    let running = site.start().await;
    let (mut desk, mut caller) = (running.client(Http::Two).await, running.client(Http::One).await);
    let post = site.line.post();
    running.post(&mut caller, &post).await;
    let life = running.page(&mut desk, 0, 0, 0).await.life;
    let call = format!("desk/up?after={life:016x}-1&wait=30");
    let token = site.line.token(&site.line.worker, &running.spki, ("GET", &format!("/v1/{call}")), &[], NOON.seconds());
    let poll = tokio::spawn(async move {
        desk.try_send("GET", &format!("/{GATE}/v1/{call}"), Some(&token), &[]).await.map(|reply| reply.status)
    });
    // The poll is on its way when another call on a later connection has been answered.
    running.notice(&mut caller).await;
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(10), running.relay.stop()).await;
    assert!(stopped.is_ok(), "stopping waited for the poll");
    let _ = poll.await.unwrap();
    let running = site.start().await;
    let mut desk = running.client(Http::Two).await;
    let page = running.page(&mut desk, life, 0, 0).await;
    assert_eq!((page.life, page.first, page.cells), (life, 1, vec![post.cell]), "the same life and position after a restart");
}

#[tokio::test]
async fn a_bundle_puts_team_cells_up_and_one_cell_on_each_track() {
    let site = Site::new(6);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let timing = Timing::PRODUCTION;
    let (fast, slow) = (timing.fast_slot(timing.beat(NOON) + 1, 2), timing.slow_slot(NOON) + 1);
    assert_ne!(slow % 8, 7, "not a slot of safeguarding");
    let beat = site.line.beat(Some(fast), Some(slow), NOBODY);
    let reply = running.beat(&mut client, &site.line.worker, &beat).await;
    assert_eq!((reply.outcome, reply.fast, reply.slow), (DeskOutcome::Done, SlotOutcome::Written, SlotOutcome::Written));
    assert_eq!(running.page(&mut client, 0, 0, 0).await.cells, beat.team_cells, "team cells share the positions of the lane");
    let again = running.beat(&mut client, &site.line.lead, &site.line.beat(Some(fast), Some(slow), NOBODY)).await;
    assert_eq!((again.outcome, again.fast, again.slow), (DeskOutcome::Done, SlotOutcome::Taken, SlotOutcome::Taken));
    let none = running.beat(&mut client, &site.line.lead, &site.line.beat(None, None, NOBODY)).await;
    assert_eq!((none.fast, none.slow), (SlotOutcome::Written, SlotOutcome::Written));

    let day = timing.day(NOON);
    let shown = |page: &[u8], cell: &[u8]| page.chunks(DOWN_CELL_LEN).position(|shown| shown == cell);
    let (now_fast, now_slow) = (client.get("down/fast").await.ok(), client.get(&format!("down/slow/{day}")).await.ok());
    assert_eq!((now_fast.len(), now_slow.len()), (8 * DOWN_CELL_LEN, 48 * DOWN_CELL_LEN));
    assert_eq!(shown(&now_fast, beat.fast_cell.as_slice()), None, "not before its beat");
    assert_eq!(shown(&now_slow, beat.slow_cell.as_slice()), None, "not before its slot");
    let begun = usize::try_from(timing.slow_slot(NOON) % 48 + 1).unwrap();
    assert!(
        now_slow[..begun * DOWN_CELL_LEN].chunks(DOWN_CELL_LEN).all(|cell| cell.iter().any(|byte| *byte != 0)),
        "what has begun is filled"
    );
    let different: BTreeSet<&[u8]> = now_slow.chunks(DOWN_CELL_LEN).take(begun).collect();
    assert_eq!(different.len(), 25, "no two alike: else an answer could be told from filler");
    assert!(now_slow[begun * DOWN_CELL_LEN..].iter().all(|byte| *byte == 0), "what has not begun is zero");
    site.clock.pass(30_000);
    assert_eq!(shown(&client.get("down/fast").await.ok(), beat.fast_cell.as_slice()), Some(4 + 2));
    site.clock.pass(1_800_000 - 30_000);
    assert_eq!(
        shown(&client.get(&format!("down/slow/{day}")).await.ok(), beat.slow_cell.as_slice()),
        Some(usize::try_from(slow % 48).unwrap())
    );
}

#[tokio::test]
async fn safeguarding_has_every_eighth_slow_slot_and_no_other_of_either_track() {
    let site = Site::new(7);
    let running = site.start().await;
    let mut client = running.client(Http::One).await;
    let next = Timing::PRODUCTION.slow_slot(NOON) + 1;
    let (theirs, ours) = ((next..).find(|slot| slot % 8 == 7).unwrap(), (next..).find(|slot| slot % 8 != 7).unwrap());
    for (name, device, slot, outcome) in [
        ("a worker in safeguarding's slot", &site.line.worker, theirs, SlotOutcome::NotOpen),
        ("safeguarding in another slot", &site.line.safeguarding, ours, SlotOutcome::NotOpen),
        ("safeguarding in its slot", &site.line.safeguarding, theirs, SlotOutcome::Written),
        ("a lead in another slot", &site.line.lead, ours, SlotOutcome::Written),
        ("49 slots ahead", &site.line.lead, next + 48, SlotOutcome::NotOpen),
        ("a slot that has begun", &site.line.lead, next - 1, SlotOutcome::NotOpen),
    ] {
        let reply = running.beat(&mut client, device, &site.line.beat(None, Some(slot), NOBODY)).await;
        assert_eq!(reply.slow, outcome, "{name}");
    }
    let fast = Timing::PRODUCTION.fast_slot(Timing::PRODUCTION.beat(NOON) + 1, 0);
    for (device, outcome) in [(&site.line.safeguarding, SlotOutcome::NotOpen), (&site.line.worker, SlotOutcome::Written)] {
        let reply = running.beat(&mut client, device, &site.line.beat(Some(fast), None, NOBODY)).await;
        assert_eq!((reply.outcome, reply.fast), (DeskOutcome::Done, outcome));
    }
    let call = format!("desk/up?after={:016x}-0&wait=0", 0);
    let lane = running.desk(&mut client, &site.line.safeguarding, "GET", &call, &[]).await.ok();
    let lane = LanePage::parse(&lane).unwrap();
    assert_eq!(lane.cells.len(), 16, "it reads the lane like everybody");
}

#[tokio::test]
async fn the_slow_track_reads_the_same_after_a_restart() {
    let site = Site::new(8);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let timing = Timing::PRODUCTION;
    let (slot, day) = (timing.slow_slot(NOON) + 1, timing.day(NOON));
    let beat = site.line.beat(None, Some(slot), NOBODY);
    running.beat(&mut client, &site.line.lead, &beat).await;
    let old_day = client.get(&format!("down/slow/{}", day - 6)).await.ok();
    let before = client.get(&format!("down/slow/{day}")).await.ok();
    running.relay.stop().await;
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(client.get(&format!("down/slow/{day}")).await.ok(), before);
    assert_eq!(client.get(&format!("down/slow/{}", day - 6)).await.ok(), old_day);
    site.clock.pass(1_800_000);
    let after = client.get(&format!("down/slow/{day}")).await.ok();
    let at = usize::try_from(slot % 48).unwrap() * DOWN_CELL_LEN;
    assert_eq!(after[at..at + DOWN_CELL_LEN], *beat.slow_cell.as_slice(), "what was written ahead is shown on time all the same");
    for gone in [day - 7, day + 1] {
        assert_eq!(client.get(&format!("down/slow/{gone}")).await.status, 404, "day {gone} does not exist");
    }
}

#[tokio::test]
async fn rosters_are_believed_from_leads_only_and_never_go_back() {
    let site = Site::new(9);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let line = &site.line;
    let roster = |serial| line.roster(serial, Timing::PRODUCTION, None);
    let (first, second) = (roster(1), roster(2));
    let by_worker = running.desk(&mut client, &line.worker, "PUT", "desk/roster", first.bytes()).await;
    assert_eq!(by_worker.status, 404, "for a worker the call does not exist");
    assert_eq!(running.put_roster(&mut client, &first).await.outcome, DeskOutcome::Done);
    assert_eq!(running.put_roster(&mut client, &first).await.outcome, DeskOutcome::Done, "the same again changes nothing");
    let reply = running.put_roster(&mut client, &second).await;
    assert_eq!((reply.outcome, reply.serial), (DeskOutcome::Done, 2));
    let other_pace = line.roster(3, Timing { slow_s: 900, ..Timing::PRODUCTION }, None);
    let stranger = TestLine::new(99, NOON.seconds()).roster(3, Timing::PRODUCTION, None);
    let mut torn = *roster(3).bytes();
    torn[100] ^= 1;
    for (name, bytes) in [("another pace", other_pace.bytes()), ("another line's", stranger.bytes()), ("altered", &torn)] {
        let reply = running.desk(&mut client, &line.lead, "PUT", "desk/roster", bytes).await;
        assert_eq!(porchlight_proto::api::DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Refused, "{name}");
    }
    running.relay.stop().await;
    let running = site.start().await;
    let mut client = running.client(Http::One).await;
    assert_eq!(running.notice(&mut client).await.roster.as_deref(), Some(second.bytes()), "it hangs there after a restart");
}

#[tokio::test]
async fn a_revoked_device_finds_nothing_any_more() {
    let mut site = Site::new(10);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let line = &site.line;
    let beat = line.beat(None, None, NOBODY);
    assert_eq!(running.beat(&mut client, &line.worker, &beat).await.outcome, DeskOutcome::Done);
    let revoked = line.worker.cert.device(&line.id);
    running.put_roster(&mut client, &line.roster(1, Timing::PRODUCTION, Some(revoked))).await;
    let reply = running.desk(&mut client, &line.worker, "POST", "desk/beat", beat.to_bytes().as_slice()).await;
    assert_eq!(reply.status, 404);
    // The line is not kept up: its statements end, and the devices' certificates do not.
    site.clock.pass(2 * 86_400_000);
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.beat(&mut client, &line.lead, &beat).await.outcome, DeskOutcome::Done, "a device that was not put out");
    let reply = running.desk(&mut client, &line.worker, "POST", "desk/beat", beat.to_bytes().as_slice()).await;
    assert_eq!(reply.status, 404, "nobody is in force who says so");
    running.relay.stop().await;

    // At another pace its statements do not hang there any more.
    site.more = "slow_s = 900".into();
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert!(running.notice(&mut client).await.roster.is_none(), "VOID: the statement counts");
    let line = &site.line;
    assert_eq!(running.beat(&mut client, &line.lead, &beat).await.outcome, DeskOutcome::Done, "a device that was not put out");
    let reply = running.desk(&mut client, &line.worker, "POST", "desk/beat", beat.to_bytes().as_slice()).await;
    assert_eq!(reply.status, 404, "what put it out is remembered");
}

#[tokio::test]
async fn whoever_asks_and_however_gets_the_same_bytes() {
    let site = Site::new(21);
    let running = site.start().await;
    let line = &site.line;
    let mut desk = running.client(Http::Two).await;
    running.put_roster(&mut desk, &line.roster(1, Timing::PRODUCTION, None)).await;
    let timing = Timing::PRODUCTION;
    let day = timing.day(NOON);
    let later = line.beat(None, Some(timing.slow_slot(NOON) + 1), NOBODY);
    running.beat(&mut desk, &line.worker, &later).await;
    site.clock.pass(u64::from(timing.slow_s) * 1_000);
    let soon = line.beat(Some(timing.fast_slot(timing.beat(site.line_now()) + 1, 1)), None, NOBODY);
    running.beat(&mut desk, &line.worker, &soon).await;
    site.clock.pass(u64::from(timing.beat_ms));
    let answer = |cell: &[u8; DOWN_CELL_LEN]| Some(*cell);
    for (path, holds) in [
        ("v1/notice".to_owned(), None),
        ("v1/down/fast".to_owned(), answer(&soon.fast_cell)),
        (format!("v1/down/slow/{day}"), answer(&later.slow_cell)),
        (format!("v1/down/slow/{}", day - 1), None),
    ] {
        for http in [Http::One, Http::Two] {
            let mut replies = Vec::new();
            for (from, token) in [([127, 0, 0, 1], None), ([127, 0, 0, 2], None), ([127, 0, 0, 3], Some("Bearer AAAA"))] {
                let mut client = Client::connect_from(from, running.address(), running.spki, http).await;
                // Who asks again, too.
                for _ in 0..2 {
                    replies.push(client.send("GET", &format!("/{GATE}/{path}"), token, &[]).await);
                }
            }
            let first = replies.first().unwrap();
            assert_eq!(first.status, 200, "{path}");
            assert!(
                holds.is_none_or(|cell| first.body.windows(DOWN_CELL_LEN).any(|window| window == cell)),
                "{path} holds an answer"
            );
            for reply in &replies {
                assert!(reply.body == first.body && without_date(reply) == without_date(first), "{http:?} {path}");
            }
        }
    }
}

fn without_date(reply: &Reply) -> Vec<&(String, String)> {
    reply.headers.iter().filter(|(name, _)| name != "date").collect()
}

#[tokio::test]
async fn a_higher_generation_voids_the_devices_of_a_lower_one_for_good() {
    let mut site = Site::new(15);
    let beat = site.line.beat(None, None, NOBODY);
    let old = site.line.desk_cert.clone();
    let new = DeskCert::sign(&site.line.root, &site.line.desk.public(), 2, old.not_before, old.not_after);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    // It puts the lead out that the root is about to speak with: it may be a stolen lead's.
    let lead = site.line.lead.cert.device(&site.line.id);
    running.put_roster(&mut client, &site.line.roster(7, Timing::PRODUCTION, Some(lead))).await;
    assert_eq!(running.beat(&mut client, &site.line.worker, &beat).await.outcome, DeskOutcome::Done);
    let reply = running.desk(&mut client, &site.line.lead, "POST", "desk/beat", beat.to_bytes().as_slice()).await;
    assert_eq!(reply.status, 404, "VOID: it is put out");
    running.relay.stop().await;

    site.line.desk_cert = new;
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let reply = running.put_roster(&mut client, &site.line.roster(1, Timing::PRODUCTION, None)).await;
    assert_eq!((reply.outcome, reply.serial), (DeskOutcome::Done, 1), "serials begin anew");
    assert_eq!(running.beat(&mut client, &site.line.worker, &beat).await.outcome, DeskOutcome::Done);
    running.relay.stop().await;

    site.line.desk_cert = old;
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let reply = running.desk(&mut client, &site.line.worker, "POST", "desk/beat", beat.to_bytes().as_slice()).await;
    assert_eq!(reply.status, 404, "after a restart, too");
}

#[tokio::test]
async fn a_bulletin_hangs_until_a_newer_one_and_survives_a_restart() {
    let site = Site::new(11);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let line = &site.line;
    let now = NOON.seconds();
    let put = async |client: &mut Client, running: &Running<'_>, bytes: &[u8; 80]| {
        let reply = running.desk(client, &line.worker, "PUT", "desk/bulletin", bytes).await;
        porchlight_proto::api::DeskReply::parse(&reply.ok()).unwrap().outcome
    };
    let bulletin = line.bulletin(now);
    assert_eq!(put(&mut client, &running, &bulletin).await, DeskOutcome::Refused, "without a roster there are no seats");
    running.put_roster(&mut client, &line.roster(1, Timing::PRODUCTION, None)).await;
    assert_eq!(put(&mut client, &running, &bulletin).await, DeskOutcome::Done);
    assert_eq!(running.notice(&mut client).await.bulletin, bulletin);
    let mut forged = line.bulletin(Seconds(now.0 + 1));
    forged[20] ^= 1;
    for (name, bytes) in [
        ("an older one", line.bulletin(Seconds(now.0 - 1))),
        ("a forged one", forged),
        ("zeros", [0; 80]),
        ("one of later", line.bulletin(Seconds(now.0 + 601))),
    ] {
        assert_eq!(put(&mut client, &running, &bytes).await, DeskOutcome::Refused, "{name}");
    }
    running.relay.stop().await;
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.notice(&mut client).await.bulletin, bulletin);
    // Taken down, it is not kept: a disk would tell who raised it, and when.
    let is_kept = || files_under(&site.path("data/public")).iter().any(|path| holds(path, &bulletin));
    assert!(is_kept(), "VOID: what hangs there does not lie there");
    running.put_roster(&mut client, &line.roster_with((1, 2), Timing::PRODUCTION, None, Seconds(now.0 + 1))).await;
    assert_eq!(running.notice(&mut client).await.bulletin, [0; 80]);
    assert!(!is_kept());
}

fn holds(path: &std::path::Path, bytes: &[u8]) -> bool {
    std::fs::read(path).unwrap().windows(bytes.len()).any(|some| some == bytes)
}

/// Desks hand in a roster whenever there is a newer one, also to a relay that was started with a wrong clock, and nobody raises a bulletin twice.
#[tokio::test]
async fn a_bulletin_that_seems_to_come_from_later_stands_again_when_the_clock_is_right() {
    let site = Site::new(31);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let bulletin = site.line.bulletin(NOON.seconds());
    running.put_roster(&mut client, &site.line.roster(1, Timing::PRODUCTION, None)).await;
    let reply = running.desk(&mut client, &site.line.worker, "PUT", "desk/bulletin", &bulletin).await;
    assert_eq!(porchlight_proto::api::DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done);
    running.relay.stop().await;
    site.clock.set_wall(Millis(NOON.0 - 1_800_000));
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.notice(&mut client).await.bulletin, [0; 80], "VOID: the clock is not behind");
    running.put_roster(&mut client, &site.line.roster_of(1, 2, Timing::PRODUCTION, None)).await;
    running.relay.stop().await;
    site.clock.set_wall(NOON);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.notice(&mut client).await.bulletin, bulletin);
}

#[tokio::test]
async fn blobs_are_kept_for_a_day() {
    let site = Site::new(12);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let (name, other) = ("desk/blob/00112233445566778899aabbccddeeff", "desk/blob/00112233445566778899aabbccddee00");
    let (old, new) = (site.line.bytes::<BLOB_LEN>(), site.line.bytes::<BLOB_LEN>());
    for bytes in [&old, &new] {
        let reply = running.desk(&mut client, &site.line.lead, "PUT", name, bytes.as_slice()).await;
        assert_eq!(porchlight_proto::api::DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done);
        site.clock.pass(3_600_000);
    }
    running.relay.stop().await;
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let held = running.desk(&mut client, &site.line.worker, "GET", name, &[]).await;
    assert_eq!(held.ok(), new.as_slice(), "the later of two with one name, after a restart");
    assert_eq!(running.desk(&mut client, &site.line.worker, "GET", other, &[]).await.status, 404);
    site.clock.pass(26 * 3_600_000);
    assert_eq!(running.desk(&mut client, &site.line.worker, "GET", name, &[]).await.status, 404, "gone with its epoch's key");
}

#[tokio::test]
async fn a_full_relay_refuses_callers_before_it_refuses_the_desk() {
    let mut site = Site::new(13);
    site.top += "quota_bytes = 1048576\n";
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let mut stored = 0;
    while running.post(&mut client, &site.line.post()).await.outcome == UpOutcome::Stored {
        stored += 1;
        assert!(stored < 1000, "the quota never ends");
    }
    assert!(stored > 0);
    let reply = running.beat(&mut client, &site.line.worker, &site.line.beat(None, None, NOBODY)).await;
    assert_eq!(reply.outcome, DeskOutcome::Done, "the desk has room of its own");
    let page = running.page(&mut client, 0, 0, 0).await;
    assert_eq!(page.cells.len(), stored + 2, "reading goes on");
    while running.beat(&mut client, &site.line.worker, &site.line.beat(None, None, NOBODY)).await.outcome == DeskOutcome::Done {
        stored += 2;
        assert!(stored < 2000, "the desk's quota never ends");
    }
    site.clock.pass((3600 + 259_200) * 1000);
    running.relay.tend().await;
    assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored, "room again once the old is gone");
}

/// Milliseconds for which a relay listens before it forgets below a floor.
const DAY_MS: u64 = 86_400_000;

#[tokio::test]
async fn epochs_below_the_floor_are_forgotten_but_not_the_current_one() {
    let site = Site::new(14);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let line = &site.line;
    running.post(&mut client, &line.post()).await;
    site.clock.pass(DAY_MS);
    running.post(&mut client, &line.post()).await;
    let life = running.page(&mut client, 0, 0, 0).await.life;
    let report = |life, n| line.beat(None, None, Floor { life, n });
    // Each bundle adds two team cells: positions 3 and 4, 5 and 6, 7 and 8.
    running.beat(&mut client, &line.worker, &report(life + 1, 2)).await;
    running.beat(&mut client, &line.lead, &report(life, 2)).await;
    running.relay.tend().await;
    assert_eq!(running.page(&mut client, 0, 0, 0).await.first, 1, "a floor of another life forgets nothing");
    running.beat(&mut client, &line.worker, &report(life, 2)).await;
    running.relay.tend().await;
    let page = running.page(&mut client, 0, 0, 0).await;
    assert_eq!((page.first, page.cells.len()), (2, 7), "the old epoch is gone, the current one is whole");
}

#[tokio::test]
async fn a_wrong_device_that_reports_first_after_a_start_erases_nothing() {
    let site = Site::new(15);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let line = &site.line;
    running.post(&mut client, &line.post()).await;
    site.clock.pass(3_600_000);
    running.relay.stop().await;
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let life = running.page(&mut client, 0, 0, 0).await.life;
    let floor = |n| line.beat(None, None, Floor { life, n });
    let oldest = async |client: &mut Client| {
        running.relay.tend().await;
        running.page(client, 0, 0, 0).await.first
    };
    running.beat(&mut client, &line.lead, &floor(u64::MAX)).await;
    assert_eq!(oldest(&mut client).await, 1, "it is the only one that has reported");
    site.clock.pass(DAY_MS / 2);
    // One that is on for a moment only, within the day.
    running.beat(&mut client, &line.worker, &floor(0)).await;
    site.clock.pass(DAY_MS / 2 - 1);
    running.beat(&mut client, &line.lead, &floor(u64::MAX)).await;
    assert_eq!(oldest(&mut client).await, 1, "not for a day");
    site.clock.pass(1);
    assert_eq!(oldest(&mut client).await, 1, "then the other one is known");
    running.beat(&mut client, &line.worker, &floor(1)).await;
    assert_eq!(oldest(&mut client).await, 2, "and what both have is forgotten");
}
