//! Finds many texts at once in a stream of bytes (Aho and Corasick, 1975).
//!
//! The libraries for it keep the texts in memory that is not wiped, and do not tell how much of a
//! text the stream ends with, which is what has to be held back.

use zeroize::{Zeroize, Zeroizing};

/// Where the search is: a beginning of one of the texts.
pub(super) type State = u32;
/// No text has begun.
pub(super) const START: State = 0;
/// No node; nothing leads back to the beginning of the tree.
const NONE: u32 = 0;
/// Values of a byte.
const BYTES: usize = 256;

/// A text that ends somewhere, or the beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// How long it is, in bytes.
    pub(super) length: usize,
    /// The number that the text was given.
    pub(super) number: usize,
}

/// The texts, as a tree of their beginnings.
pub(super) struct Automaton {
    nodes: Zeroizing<Vec<Node>>,
    /// Where each byte leads from the start.
    first: Zeroizing<Vec<u32>>,
}

/// One beginning. Children of one parent form a list.
#[derive(Clone, Copy, Default, Zeroize)]
struct Node {
    /// Its last byte.
    byte: u8,
    first_child: u32,
    next_sibling: u32,
    /// The longest beginning of a text that this one ends with.
    fallback: u32,
    /// How many bytes it has.
    depth: u32,
    /// The first text that begins like this.
    number: u32,
    /// The longest text that it ends with; none when the length is 0.
    found_length: u32,
    found_number: u32,
}

impl Automaton {
    /// The texts with a number each, which a find tells. None may be empty.
    pub(super) fn new(texts: &[(usize, &[u8])]) -> Self {
        let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
        // Never grows, so no copy of the texts is left behind.
        let mut nodes = Zeroizing::new(Vec::with_capacity(bytes + 1));
        nodes.push(Node::default());
        let mut automaton = Self { nodes, first: Zeroizing::new(vec![NONE; BYTES]) };
        for (number, text) in texts {
            automaton.add(narrow(*number), text);
        }
        automaton.link();
        automaton
    }

    fn add(&mut self, number: u32, text: &[u8]) {
        let mut at = START;
        for byte in text {
            at = match self.child(at, *byte) {
                NONE => self.add_child(at, *byte, number),
                child => child,
            };
        }
        let node = self.node_mut(at);
        if node.found_length == 0 {
            (node.found_length, node.found_number) = (node.depth, number);
        }
    }

    fn add_child(&mut self, parent: State, byte: u8, number: u32) -> State {
        let child = narrow(self.nodes.len());
        let Node { depth, first_child, .. } = *self.node(parent);
        let depth = depth + 1;
        self.nodes.push(Node { byte, depth, number, next_sibling: first_child, ..Node::default() });
        self.node_mut(parent).first_child = child;
        if parent == START {
            self.first[usize::from(byte)] = child;
        }
        child
    }

    /// Finds each beginning's fallback, shorter ones first.
    fn link(&mut self) {
        let mut level = vec![START];
        while !level.is_empty() {
            let mut next = Vec::new();
            for parent in level {
                let mut child = self.node(parent).first_child;
                while child != NONE {
                    self.link_one(parent, child);
                    next.push(child);
                    child = self.node(child).next_sibling;
                }
            }
            level = next;
        }
    }

    fn link_one(&mut self, parent: State, at: State) {
        let byte = self.node(at).byte;
        let fallback =
            if parent == START { START } else { self.step(self.node(parent).fallback, byte) };
        let shorter = *self.node(fallback);
        let node = self.node_mut(at);
        node.fallback = fallback;
        if node.found_length == 0 {
            (node.found_length, node.found_number) = (shorter.found_length, shorter.found_number);
        }
    }

    fn child(&self, at: State, byte: u8) -> State {
        if at == START {
            return self.first[usize::from(byte)];
        }
        let mut child = self.node(at).first_child;
        while child != NONE && self.node(child).byte != byte {
            child = self.node(child).next_sibling;
        }
        child
    }

    /// Where the search is after one more byte.
    pub(super) fn step(&self, mut at: State, byte: u8) -> State {
        loop {
            let child = self.child(at, byte);
            if child != NONE || at == START {
                return child;
            }
            at = self.node(at).fallback;
        }
    }

    /// The longest text that ends here.
    pub(super) fn found(&self, at: State) -> Option<Part> {
        let node = self.node(at);
        let (length, number) = (wide(node.found_length), wide(node.found_number));
        (0 < length).then_some(Part { length, number })
    }

    /// How much of the last bytes may yet become a text, or a longer one.
    pub(super) fn begun(&self, mut at: State) -> Part {
        while at != START && self.node(at).first_child == NONE {
            at = self.node(at).fallback;
        }
        let node = self.node(at);
        Part { length: wide(node.depth), number: wide(node.number) }
    }

    fn node(&self, at: State) -> &Node {
        &self.nodes[wide(at)]
    }

    fn node_mut(&mut self, at: State) -> &mut Node {
        &mut self.nodes[wide(at)]
    }
}

fn wide(number: u32) -> usize {
    usize::try_from(number).expect("a usize has at least 32 bits here")
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("the texts of one run are far shorter than 4 GiB")
}
