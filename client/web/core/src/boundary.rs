//! The calls that JavaScript makes, by number and address. Each takes the page by its address, works on the page's two
//! buffers, and gives a length (0 or more) or a [`Refusal`] (below 0).
#![allow(unsafe_code, reason = "the one place where JavaScript's numbers become Rust's references")]
use crate::page::{Choice, Page, Refusal};
use alloc::boxed::Box;
use porchlight_proto::{time::Millis, visit::To};
use zeroize::Zeroize;

#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

fn outcome(page: &Page, result: Result<(), Refusal>) -> i32 {
    match result {
        Ok(()) => i32::try_from(page.output.len()).unwrap_or(i32::MAX),
        Err(refusal) => refusal as i32,
    }
}

/// JavaScript counts milliseconds in doubles, which hold every whole one for the next 285,000 years.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and never in this age")]
fn millis(now: f64) -> Millis {
    Millis(now as u64)
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($page:ident $(, $arg:ident: $kind:ty)*) $body:block)*) => {$(
        $(#[$doc])*
        /// # Safety
        ///
        /// `page` is an address that [`open`] gave and [`close`] has not taken, and no other call is running.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(page: *mut Page $(, $arg: $kind)*) -> i32 {
            // SAFETY: the caller's promise above; one thread, one call at a time.
            let $page = unsafe { &mut *page };
            $body
        }
    )*};
}

/// Where 64 bytes may be written, for [`open`] (root key and seed) or [`stretch`] (words and line).
#[unsafe(no_mangle)]
pub extern "C" fn reserve() -> *mut [u8; 64] {
    Box::into_raw(Box::new([0; 64]))
}

/// Opens a visit from the 64 bytes at `start`, which are wiped and given back.
///
/// # Safety
///
/// `start` is an address that [`reserve`] gave, used once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(start: *mut [u8; 64]) -> *mut Page {
    // SAFETY: the caller's promise above.
    let mut start = unsafe { Box::from_raw(start) };
    let (mut root, mut seed) = ([0; 32], [0; 32]);
    for (to, from) in root.iter_mut().chain(seed.iter_mut()).zip(start.iter()) {
        *to = *from;
    }
    let page = Box::new(Page::open(root, seed));
    seed.zeroize();
    start.zeroize();
    Box::into_raw(page)
}

/// Stretches the words in the first 16 of the 64 bytes at `at`, for the line in the 32 after them; what comes of it takes the place of
/// the first 32, and the rest is wiped. Gives 32, or [`Refusal::Usage`].
///
/// # Safety
///
/// `at` is an address that [`reserve`] gave and [`open`] has not taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stretch(at: *mut [u8; 64]) -> i32 {
    // SAFETY: the caller's promise above.
    let bytes = unsafe { &mut *at };
    let key = match bytes.split_first_chunk::<16>().map(|(words, rest)| (words, rest.first_chunk::<32>())) {
        Some((words, Some(line))) => crate::page::stretch(words, *line),
        _ => None,
    };
    bytes.zeroize();
    let Some(key) = key else { return Refusal::Usage as i32 };
    bytes.iter_mut().zip(key.iter()).for_each(|(to, from)| *to = *from);
    32
}

/// Wipes the visit and gives its memory back.
///
/// # Safety
///
/// `page` is an address that [`open`] gave; it is void from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(page: *mut Page) {
    // SAFETY: the caller's promise above.
    drop(unsafe { Box::from_raw(page) });
}

/// Makes the input `len` bytes long and gives its address, valid until the next call.
///
/// # Safety
///
/// As for the other calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn input(page: *mut Page, len: usize) -> *mut u8 {
    // SAFETY: the caller's promise above.
    let page = unsafe { &mut *page };
    page.input.zeroize();
    page.input.resize(len, 0);
    page.input.as_mut_ptr()
}

/// The output's address, valid until the next call.
///
/// # Safety
///
/// As for the other calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn output(page: *mut Page) -> *const u8 {
    // SAFETY: the caller's promise above.
    unsafe { &*page }.output.as_ptr()
}

calls! {
    /// Takes a notice.
    notice(page, now: f64) { let result = page.notice(millis(now)); outcome(page, result) }
    /// Says pace and days.
    plan(page, now: f64) { page.plan(millis(now)); outcome(page, Ok(())) }
    /// Whether a notice is to be fetched: 1 or 0.
    wants_notice(page, now: f64) { i32::from(page.wants_notice(millis(now))) }
    /// Draws a phrase and says its words and line, as `stretch` takes them.
    draw(page) { page.draw(); outcome(page, Ok(())) }
    /// Says the line's id.
    line(page) { page.line(); outcome(page, Ok(())) }
    /// Takes what `stretch` gave, and reads with it.
    know(page, now: f64) { let result = page.know(millis(now)); outcome(page, result) }
    /// Says the three pictures.
    pictures(page) { page.pictures(); outcome(page, Ok(())) }
    /// Takes a letter: flags are 1 quiet, 2 relative, 4 to safeguarding. Gives its number.
    write(page, status: u32, next_s: u32, flags: u32, language: u32, now: f64) {
        let choice = Choice { status, next_s, quiet: flags & 1 != 0, relative: flags & 2 != 0, language };
        let to = if flags & 4 != 0 { To::Safeguarding } else { To::Desk };
        page.write(choice, to, millis(now)).map_or_else(|refusal| refusal as i32, i32::from)
    }
    /// Takes a letter back; 0 for all. Gives the number of the letter that says so.
    withdraw(page, seq: u32, now: f64) {
        let seq = u16::try_from(seq).map_err(|_| Refusal::Usage);
        seq.and_then(|seq| page.withdraw(seq, millis(now))).map_or_else(|refusal| refusal as i32, i32::from)
    }
    /// The answer whose id is the input is on her screen; `safeguarding` is 1 if it is of that mailbox.
    displayed(page, safeguarding: u32) {
        let of = if safeguarding == 0 { To::Desk } else { To::Safeguarding };
        page.displayed(of).map_or_else(|refusal| refusal as i32, |()| 0)
    }
    /// Says the bytes of a POST.
    beat(page, relay_no: u32, now: f64) {
        let result = u8::try_from(relay_no).map_err(|_| Refusal::Usage).and_then(|relay| page.beat(relay, millis(now)));
        outcome(page, result)
    }
    /// Takes the reply to POST number `post`, counted from 1; `answered` is 0 if there was none.
    posted(page, post: u32, relay_no: u32, answered: u32) {
        let relay = u8::try_from(relay_no).map_err(|_| Refusal::Usage);
        let result = relay.and_then(|relay| page.posted(post, relay, answered != 0));
        outcome(page, result)
    }
    /// Reads a slow day.
    slow_day(page, relay_no: u32, now: f64) {
        let relay = u8::try_from(relay_no).map_err(|_| Refusal::Usage);
        let result = relay.and_then(|relay| page.slow_day(relay, millis(now)));
        outcome(page, result)
    }
    /// Reads the newest beats.
    fast(page, relay_no: u32, now: f64) {
        let relay = u8::try_from(relay_no).map_err(|_| Refusal::Usage);
        let result = relay.and_then(|relay| page.fast(relay, millis(now)));
        outcome(page, result)
    }
}
