//! The door to the project's own RLP (`rust/encoding`): handshakes, messages of peers and consensus headers are read by it.

use alloy_rlp::{Header, PayloadView};
use encoding::rlp::{Build, DEPTH_MAX, Limits, Malformed, close_list, decode, encode_string};

/// More items than an input has bytes.
const LIMITS: Limits = Limits {
    items: 1 << 20,
    depth: DEPTH_MAX,
};

#[derive(Debug, PartialEq)]
enum Item {
    Text(Vec<u8>),
    List(Vec<Item>),
}

struct Items;

impl Build for Items {
    type Value = Item;
    type Error = Malformed;

    fn string(&self, content: &[u8]) -> Result<Item, Malformed> {
        Ok(Item::Text(content.to_vec()))
    }

    fn list(&self, items: Vec<Item>) -> Result<Item, Malformed> {
        Ok(Item::List(items))
    }
}

/// # Panics
/// When bytes are taken that are not the value's one encoding, or alloy-rlp reads another value, or one is taken that the other refuses.
pub fn rlp(data: &[u8]) {
    let item = match decode(data, LIMITS, &Items) {
        // Of how deep it is alloy-rlp knows nothing: it reads one list at a time.
        Err(Malformed::TooDeep) => return,
        Err(_) => None,
        Ok(item) => Some(item),
    };
    if let Some(item) = &item {
        let mut encoded = Vec::new();
        encode(item, &mut encoded);
        assert_eq!(encoded, data, "two byte strings for one value");
    }
    let theirs = read(data, DEPTH_MAX + 1);
    assert_eq!(item, theirs, "alloy-rlp reads another value");
}

fn encode(item: &Item, to: &mut Vec<u8>) {
    match item {
        Item::Text(content) => encode_string(content, to),
        Item::List(items) => {
            let start = to.len();
            for item in items {
                encode(item, to);
            }
            close_list(start, to);
        }
    }
}

/// What alloy-rlp finds in bytes that are one item and nothing else.
fn read(mut data: &[u8], depth: usize) -> Option<Item> {
    let below = depth.checked_sub(1)?;
    let found = Header::decode_raw(&mut data).ok()?;
    if !data.is_empty() {
        return None;
    }
    Some(match found {
        PayloadView::String(content) => Item::Text(content.to_vec()),
        PayloadView::List(items) => {
            let items = items.into_iter().map(|item| read(item, below));
            Item::List(items.collect::<Option<_>>()?)
        }
    })
}
