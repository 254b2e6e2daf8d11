//! A disk that loses power: a file system in memory that knows what was synced, and keeps of the rest what chance leaves.
//!
//! It is stricter than most: a file's sync says nothing about its name, a directory's sync nothing about what is in its files. At a cut each
//! write that was not synced is there, is torn at a sector, or is not, whatever came before or after it. It can also refuse for a while.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

const NOTHING: Duration = Duration::ZERO;
const SECTOR: usize = 512;

/// The disk. Survives its mounts.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

struct State {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// What there was when the power went.
    cut: Option<BTreeMap<u64, Node>>,
    /// Whether it fails at everything that would change it.
    refuses: bool,
}

#[derive(Clone)]
struct Node {
    mode: u16,
    body: Body,
}

#[derive(Clone)]
enum Body {
    File { now: Vec<u8>, safe: Vec<u8>, since: Vec<Change> },
    Dir { now: Names, safe: Names, since: Vec<Naming> },
}

type Names = BTreeMap<OsString, u64>;

#[derive(Clone)]
enum Change {
    Put(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone)]
enum Naming {
    Add(OsString, u64),
    Take(OsString),
    Move(OsString, OsString),
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    bytes.resize(bytes.len().max(at + data.len()), 0);
    bytes[at..at + data.len()].copy_from_slice(data);
}

fn name(names: &mut Names, naming: &Naming) {
    match naming {
        Naming::Add(name, node) => _ = names.insert(name.clone(), *node),
        Naming::Take(name) => _ = names.remove(name),
        Naming::Move(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}

impl Disk {
    pub(crate) fn new() -> Self {
        let root = Node { mode: 0o755, body: Body::Dir { now: Names::new(), safe: Names::new(), since: Vec::new() } };
        Self(Arc::new(Mutex::new(State { nodes: BTreeMap::from([(1, root)]), next: 2, cut: None, refuses: false })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn mount(&self, at: &Path) -> BackgroundSession {
        fuser::spawn_mount(self.clone(), at, &Config::default()).unwrap()
    }

    /// From here on nothing can be written or removed, or it can again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    fn willing(&self) -> Result<(), Errno> {
        if self.state().refuses { Err(Errno::EIO) } else { Ok(()) }
    }

    /// It answers nobody for as long as this is held.
    pub(crate) fn hang(&self) -> impl Sized + '_ {
        self.state()
    }

    /// Nothing that is written or synced from here on will have been.
    pub(crate) fn pull_the_plug(&self) {
        let mut state = self.state();
        state.cut = Some(state.nodes.clone());
    }

    /// What the cut left becomes what is there. Nobody may have it mounted.
    pub(crate) fn power_up(&self, rng: &mut ChaCha20Rng) {
        let mut state = self.state();
        state.nodes = state.cut.take().unwrap();
        for node in state.nodes.values_mut() {
            match &mut node.body {
                Body::File { now, safe, since } => {
                    for change in since.drain(..).filter(|_| rng.next_u32().is_multiple_of(2)).collect::<Vec<_>>() {
                        match change {
                            Change::Length(length) => safe.resize(length, 0),
                            Change::Put(at, data) => {
                                let sectors = data.len().div_ceil(SECTOR);
                                let is_torn = rng.next_u32().is_multiple_of(4);
                                let kept = if is_torn { rng.next_u32() as usize % (sectors + 1) * SECTOR } else { data.len() };
                                put(safe, at, &data[..kept.min(data.len())]);
                            }
                        }
                    }
                    now.clone_from(safe);
                }
                Body::Dir { now, safe, since } => {
                    let kept = rng.next_u32() as usize % (since.len() + 1);
                    since.drain(..).take(kept).collect::<Vec<_>>().iter().for_each(|naming| name(safe, naming));
                    now.clone_from(safe);
                }
            }
        }
    }

    fn with<T>(&self, node: INodeNo, look: impl FnOnce(&mut Node) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.state();
        look(state.nodes.get_mut(&node.0).ok_or(Errno::ENOENT)?)
    }

    fn attr(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        self.with(number, |node| Ok(attr(number, node)))
    }

    fn find(&self, parent: INodeNo, called: &OsStr) -> Result<INodeNo, Errno> {
        self.with(parent, |node| match &node.body {
            Body::Dir { now, .. } => now.get(called).copied().map(INodeNo).ok_or(Errno::ENOENT),
            Body::File { .. } => Err(Errno::ENOTDIR),
        })
    }

    fn rename_in(&self, parent: INodeNo, naming: Naming) -> Result<(), Errno> {
        self.willing()?;
        self.with(parent, |node| match &mut node.body {
            Body::Dir { now, since, .. } => {
                name(now, &naming);
                since.push(naming);
                Ok(())
            }
            Body::File { .. } => Err(Errno::ENOTDIR),
        })
    }

    fn make(&self, parent: INodeNo, called: &OsStr, mode: u32, body: Body) -> Result<FileAttr, Errno> {
        if self.find(parent, called).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = {
            let mut state = self.state();
            let number = state.next;
            state.next += 1;
            state.nodes.insert(number, Node { mode: u16::try_from(mode & 0o7777).unwrap(), body });
            number
        };
        self.rename_in(parent, Naming::Add(called.to_owned(), number))?;
        self.attr(INodeNo(number))
    }

    fn change(&self, node: INodeNo, change: Change) -> Result<(), Errno> {
        self.willing()?;
        self.with(node, |node| match &mut node.body {
            Body::File { now, since, .. } => {
                match &change {
                    Change::Length(length) => now.resize(*length, 0),
                    Change::Put(at, data) => put(now, *at, data),
                }
                since.push(change);
                Ok(())
            }
            Body::Dir { .. } => Err(Errno::EISDIR),
        })
    }

    fn sync(&self, node: INodeNo) -> Result<(), Errno> {
        self.with(node, |node| {
            match &mut node.body {
                Body::File { now, safe, since } => {
                    safe.clone_from(now);
                    since.clear();
                }
                Body::Dir { now, safe, since } => {
                    safe.clone_from(now);
                    since.clear();
                }
            }
            Ok(())
        })
    }

    fn remove(&self, parent: INodeNo, called: &OsStr) -> Result<(), Errno> {
        let node = self.find(parent, called)?;
        let is_full = self.with(node, |node| Ok(matches!(&node.body, Body::Dir { now, .. } if !now.is_empty())))?;
        if is_full { Err(Errno::ENOTEMPTY) } else { self.rename_in(parent, Naming::Take(called.to_owned())) }
    }
}

fn attr(number: INodeNo, node: &Node) -> FileAttr {
    let (kind, size) = match &node.body {
        Body::File { now, .. } => (FileType::RegularFile, now.len() as u64),
        Body::Dir { .. } => (FileType::Directory, 0),
    };
    let then = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: number,
        size,
        blocks: size.div_ceil(512),
        atime: then,
        mtime: then,
        ctime: then,
        crtime: then,
        kind,
        perm: node.mode,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

macro_rules! say {
    ($reply:ident, $done:expr, $well:expr) => {
        match $done {
            Ok(value) => ($well)($reply, value),
            Err(error) => $reply.error(error),
        }
    };
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, parent: INodeNo, called: &OsStr, reply: ReplyEntry) {
        let found = self.find(parent, called).and_then(|node| self.attr(node));
        say!(reply, found, |reply: ReplyEntry, attr| reply.entry(&NOTHING, &attr, Generation(0)));
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        say!(reply, self.attr(node), |reply: ReplyAttr, attr| reply.attr(&NOTHING, &attr));
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let sized = size.map_or(Ok(()), |size| self.change(node, Change::Length(usize::try_from(size).unwrap())));
        let moded = self.with(node, |node| {
            node.mode = mode.map_or(node.mode, |mode| u16::try_from(mode & 0o7777).unwrap());
            Ok(())
        });
        let done = sized.and(moded).and_then(|()| self.attr(node));
        say!(reply, done, |reply: ReplyAttr, attr| reply.attr(&NOTHING, &attr));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, called: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let body = Body::Dir { now: Names::new(), safe: Names::new(), since: Vec::new() };
        let made = self.make(parent, called, mode & !umask, body);
        say!(reply, made, |reply: ReplyEntry, attr| reply.entry(&NOTHING, &attr, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, called: &OsStr, reply: ReplyEmpty) {
        say!(reply, self.remove(parent, called), |reply: ReplyEmpty, ()| reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, called: &OsStr, reply: ReplyEmpty) {
        say!(reply, self.remove(parent, called), |reply: ReplyEmpty, ()| reply.ok());
    }

    fn rename(&self, _: &Request, parent: INodeNo, from: &OsStr, other: INodeNo, to: &OsStr, _: RenameFlags, reply: ReplyEmpty) {
        let is_here = if parent == other { self.find(parent, from).map(|_| ()) } else { Err(Errno::EXDEV) };
        let done = is_here.and_then(|()| self.rename_in(parent, Naming::Move(from.to_owned(), to.to_owned())));
        say!(reply, done, |reply: ReplyEmpty, ()| reply.ok());
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        say!(reply, self.attr(node), |reply: ReplyOpen, _| reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn create(&self, _: &Request, parent: INodeNo, called: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        let body = Body::File { now: Vec::new(), safe: Vec::new(), since: Vec::new() };
        let made = self.make(parent, called, mode & !umask, body);
        say!(reply, made, |reply: ReplyCreate, attr| reply.created(
            &NOTHING,
            &attr,
            Generation(0),
            FileHandle(0),
            FopenFlags::empty()
        ));
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.with(node, |node| match &node.body {
            Body::File { now, .. } => {
                let from = usize::try_from(offset).unwrap().min(now.len());
                Ok(now[from..now.len().min(from + size as usize)].to_vec())
            }
            Body::Dir { .. } => Err(Errno::EISDIR),
        });
        say!(reply, read, |reply: ReplyData, bytes: Vec<u8>| reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let done = self.change(node, Change::Put(usize::try_from(offset).unwrap(), data.to_vec()));
        say!(reply, done, |reply: ReplyWrite, ()| reply.written(u32::try_from(data.len()).unwrap()));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        say!(reply, self.sync(node), |reply: ReplyEmpty, ()| reply.ok());
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        say!(reply, self.sync(node), |reply: ReplyEmpty, ()| reply.ok());
    }

    fn readdir(&self, _: &Request, node: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.with(node, |node| match &node.body {
            Body::Dir { now, .. } => Ok(now.clone()),
            Body::File { .. } => Err(Errno::ENOTDIR),
        });
        let names = match listed {
            Ok(names) => names,
            Err(error) => return reply.error(error),
        };
        for (nth, (called, number)) in names.iter().enumerate().skip(usize::try_from(offset).unwrap()) {
            let Ok(attr) = self.attr(INodeNo(*number)) else { continue };
            if reply.add(INodeNo(*number), nth as u64 + 1, attr.kind, called) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 22, 1 << 21, 1 << 21, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
