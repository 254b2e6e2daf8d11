//! What somebody gets who copied a relay's disk and its keyring: a line for each record that they open together.
//! `docs/TESTING.md` says how it is used.

use std::io::{self, Write};
use std::path::Path;

use porchlight_relay::seal::Lane;
use porchlight_relay::seal::copy::open_copy;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [disk, keys] = arguments.as_slice() else {
        return Err(io::Error::other("give a copy of data_dir/cells and a copy of keyring_dir"));
    };
    let found = open_copy(Path::new(disk), Path::new(keys))?;
    let mut out = io::stdout().lock();
    for record in &found {
        writeln!(out, "{:?} {} {} bytes", record.lane, record.key.0, record.plain.len())?;
    }
    let up = found.iter().filter(|record| record.lane == Lane::Up).count();
    writeln!(out, "{} records open, {up} of them of the up lane", found.len())
}
