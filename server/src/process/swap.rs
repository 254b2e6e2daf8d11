//! Swap: a disk on which keys would outlive their death.

use std::io;
use std::path::Path;

const TABLE: &str = "/proc/swaps";

/// The devices and files that this machine swaps to now. Where the kernel's table is hidden, "something" if there is any swap at all.
///
/// # Errors
///
/// What the file system says if the kernel's table cannot be read.
pub fn in_use() -> io::Result<Vec<String>> {
    in_use_at(Path::new(TABLE))
}

/// Whether there is any swap at all. Asks for no file, so a confined process can.
#[must_use]
pub fn is_on() -> bool {
    rustix::system::sysinfo().totalswap > 0
}

pub(super) fn in_use_at(table: &Path) -> io::Result<Vec<String>> {
    match std::fs::read_to_string(table) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(unnamed(is_on())),
        text => Ok(of_table(&text?)),
    }
}

fn unnamed(is_on: bool) -> Vec<String> {
    if is_on { vec!["something that is hidden from this process".into()] } else { Vec::new() }
}

fn of_table(table: &str) -> Vec<String> {
    let names = table.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_one_swap_a_line_after_its_head() {
        let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        assert_eq!(of_table(head), [""; 0]);
        assert_eq!(of_table(""), [""; 0]);
        let table = format!("{head}/dev/vda2   partition\t2097148\t0\t-2\n/swapfile  file\t1024\t0\t-3\n");
        assert_eq!(of_table(&table), ["/dev/vda2", "/swapfile"]);
    }
}
