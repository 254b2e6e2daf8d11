//! What a caller pays when a relay asks for stamps, and what it costs the relay to look.
use crate::figure::{median, ms, say, us};
use crate::line::Line;
use porchlight_proto::{limits::UP_CELL_LEN, stamp::StampFor};
use rand_core::Rng;

/// A stamp's price is drawn by lot: many, so that their mean means something.
const STAMPS: [(u8, u32); 3] = [(10, 200), (15, 40), (20, 8)];

pub(crate) fn measure() {
    let Line { mut rng, id, .. } = Line::new();
    let mut cell = [0; UP_CELL_LEN];
    for (bits, count) in STAMPS {
        let (took, ()) = crate::figure::once(|| {
            for _ in 0..count {
                rng.fill_bytes(&mut cell);
                std::hint::black_box(StampFor::cell(&cell, &[5; 16], &id, 1).mint(bits, &mut rng));
            }
        });
        say(&format!("stamps: mint one of {bits} bits, mean of {count}"), ms(took) / f64::from(count), "ms");
    }
    let stamp = [0; 32];
    let look = median(500, || StampFor::cell(&cell, &[5; 16], &id, 1).is_paid(&stamp, 20));
    say("stamps: look at one", us(look), "us");
}
