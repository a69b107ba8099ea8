//! The log of a stack through the functions of the header.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use common::{Memory, World, address, manual_config, name, open};
use mnet_ffi::*;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// What a log function was told, and what calls on the stack answered meanwhile.
#[derive(Default)]
struct Told {
    stack: mnet_stack,
    lines: Vec<(u32, String, String)>,
    answers: Vec<c_int>,
}

unsafe extern "C" fn note(
    context: *mut c_void,
    level: u32,
    module: *const c_char,
    event: *const mnet_log_event,
) {
    let told = unsafe { &mut *context.cast::<Told>() };
    let mut text = [1; MNET_LOG_TEXT_SIZE];
    let len = unsafe { mnet_log_text(event, text.as_mut_ptr(), text.len()) };
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    assert_eq!(text.to_bytes().len(), usize::try_from(len).unwrap());
    let module = unsafe { CStr::from_ptr(module) };
    let module = module.to_str().unwrap().to_owned();
    let line = (level, module, text.to_str().unwrap().to_owned());
    told.lines.push(line);
    let mut deadline = 0;
    told.answers.extend(unsafe {
        [
            mnet_step(told.stack, 0, &raw mut deadline),
            mnet_log_filter(told.stack, c"debug".as_ptr()),
            mnet_log_set(told.stack, None, ptr::null_mut()),
            mnet_close_stack(told.stack),
        ]
    });
}

struct Stack {
    stack: mnet_stack,
    now: u64,
    told: Box<Told>,
    world: World,
    _memory: Memory,
}

impl Stack {
    fn new() -> Self {
        let world = World::new();
        let mut memory = Memory::new(2 << 20);
        let stack = open(&manual_config(&mut memory, 1));
        let told = Box::new(Told {
            stack,
            ..Told::default()
        });
        Self {
            stack,
            now: 0,
            told,
            world,
            _memory: memory,
        }
    }

    fn set(&mut self) -> c_int {
        let context = (&raw mut *self.told).cast();
        unsafe { mnet_log_set(self.stack, Some(note), context) }
    }

    fn filter(&self, filter: &CStr) -> c_int {
        unsafe { mnet_log_filter(self.stack, filter.as_ptr()) }
    }

    fn step(&mut self) -> u64 {
        self.now += 1_000_000;
        let mut deadline = 0;
        let status = unsafe { mnet_step(self.stack, self.now, &raw mut deadline) };
        assert_eq!(status, 0);
        deadline
    }

    fn add(&self, text: &str) {
        let address = address(text);
        let status = unsafe { mnet_add_address(self.stack, 0, &raw const address, 24, 0) };
        assert_eq!(status, 0, "{}", name(status.into()));
    }

    fn frame(&self, frame: &[u8]) {
        let start = frame.as_ptr().cast();
        let status = unsafe { mnet_frame_in(self.stack, self.now, start, frame.len()) };
        assert_eq!(status, 0);
    }

    fn lines(&mut self) -> Vec<(u32, String, String)> {
        std::mem::take(&mut self.told.lines)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        mnet_close_stack(self.stack);
    }
}

#[test]
fn a_function_is_told_what_passes_the_filter() {
    let mut stack = Stack::new();
    assert_eq!(stack.set(), 0);
    stack.add("10.7.0.1");
    stack.step();
    assert_eq!(stack.lines(), [], "warnings and errors only");
    assert_eq!(stack.filter(c"ip=info"), 0);
    stack.add("10.8.0.1");
    stack.step();
    let told = |text: &str| (MNET_LOG_INFO, "ip".to_owned(), text.to_owned());
    assert_eq!(
        stack.lines(),
        [
            told("interface 1: static address 10.8.0.1/24 is ours"),
            told("route to 10.8.0.0/24 on interface 1"),
        ]
    );
    assert_eq!(
        unsafe { mnet_log_set(stack.stack, None, ptr::null_mut()) },
        0
    );
    stack.add("10.9.0.1");
    stack.step();
    assert_eq!(stack.lines(), []);
}

/// It may not call the stack that calls it.
#[test]
fn calls_from_inside_are_refused() {
    let mut stack = Stack::new();
    assert_eq!((stack.set(), stack.filter(c"debug")), (0, 0));
    stack.add("10.7.0.1");
    stack.step();
    assert!(!stack.lines().is_empty());
    assert!(!stack.told.answers.is_empty());
    for answer in &stack.told.answers {
        assert_eq!(*answer, MNET_EBUSY, "{}", name((*answer).into()));
    }
    // It is all there still.
    assert_eq!(stack.filter(c"off"), 0);
}

#[test]
fn drops_come_once_a_second_and_are_waited_for() {
    let mut stack = Stack::new();
    assert_eq!((stack.set(), stack.filter(c"link=debug")), (0, 0));
    for _ in 0..100 {
        stack.frame(&[0; 5]);
        stack.step();
    }
    assert_eq!(stack.lines(), []);
    let deadline = stack.step();
    assert!(deadline <= 1_000_000_000, "{deadline}");
    stack.now = 1_000_000_000;
    stack.step();
    let wanted = (
        MNET_LOG_DEBUG,
        "link".to_owned(),
        "eth_malformed: 100 more".to_owned(),
    );
    assert_eq!(stack.lines(), [wanted]);
}

#[test]
fn what_is_wrong_is_refused() {
    let mut stack = Stack::new();
    assert_eq!(stack.filter(c"debug"), MNET_EINVAL, "there is no log");
    assert_eq!(stack.set(), 0);
    for filter in [c"loud", c"tcp=loud", c"quic=debug", c"=", c"\xff"] {
        assert_eq!(stack.filter(filter), MNET_EINVAL, "{filter:?}");
    }
    assert_eq!(
        unsafe { mnet_log_filter(stack.stack, ptr::null()) },
        MNET_EINVAL
    );
    let none = ptr::null_mut();
    assert_eq!(unsafe { mnet_log_set(-1, Some(note), none) }, MNET_EBADF);
    assert_eq!(unsafe { mnet_log_set(-1, None, none) }, MNET_EBADF);
    let mut text: c_char = 1;
    let einval = i64::from(MNET_EINVAL);
    assert_eq!(
        unsafe { mnet_log_text(ptr::null(), &raw mut text, 1) },
        einval
    );
    assert_eq!(text, 1);
}

#[test]
fn a_log_gives_its_memory_back() {
    let mut stack = Stack::new();
    for _ in 0..1_000 {
        assert_eq!(stack.set(), 0);
    }
    assert_eq!(
        unsafe { mnet_log_set(stack.stack, None, ptr::null_mut()) },
        0
    );
}

#[test]
fn the_console_gets_lines() {
    let mut stack = Stack::new();
    let console = |filter| unsafe { mnet_log_console(stack.stack, filter) };
    assert_eq!(console(c"nonsense=1".as_ptr()), MNET_EINVAL);
    assert_eq!(console(c"ip=info".as_ptr()), 0);
    stack.add("10.7.0.1");
    stack.step();
    assert_eq!(
        stack.world.console(),
        "info ip: interface 1: static address 10.7.0.1/24 is ours\n\
         info ip: route to 10.7.0.0/24 on interface 1\n"
    );
}
