//! A batch in the making: all its bytes in one buffer, in order when it is written.
//!
//! A flush puts three branches and two accounts for each transfer. A map with a key and a value of its own for each of them
//! spends more time in the allocator than in anything else, and each is copied once more on its way to the disk.

/// Writes that belong together; the last one of a key wins.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Keys and values in the order they came, each value behind its key.
    bytes: Vec<u8>,
    writes: Vec<Write>,
}

#[derive(Debug, Clone, Copy)]
struct Write {
    /// The first eight bytes of the key as a number: nearly all comparisons need no more, and stay out of the buffer.
    prefix: u64,
    start: usize,
    key_length: u32,
    value_length: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Delete,
    DeleteUnlessWritten,
}

impl Batch {
    pub(crate) fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(key.as_ref(), value.as_ref(), Kind::Put);
    }

    pub(crate) fn delete(&mut self, key: impl AsRef<[u8]>) {
        self.push(key.as_ref(), &[], Kind::Delete);
    }

    /// Delete unless the batch says otherwise, before or after.
    pub(crate) fn delete_unless_written(&mut self, key: impl AsRef<[u8]>) {
        self.push(key.as_ref(), &[], Kind::DeleteUnlessWritten);
    }

    /// How many writes were asked for; those of one key count each.
    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What each key is to be, in the order of keys; `None` for one that is to go.
    pub(crate) fn sorted(&mut self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let Self { bytes, writes } = self;
        let bytes: &[u8] = bytes;
        // Stable: writes of one key stay in their order.
        writes.sort_by(|a, b| {
            let prefixes = a.prefix.cmp(&b.prefix);
            prefixes.then_with(|| a.key(bytes).cmp(b.key(bytes)))
        });
        let same_key = |a: &Write, b: &Write| a.prefix == b.prefix && a.key(bytes) == b.key(bytes);
        writes.chunk_by(same_key).map(|of_key| {
            let mut latest_first = of_key.iter().rev();
            let last = latest_first
                .find(|write| write.kind != Kind::DeleteUnlessWritten)
                .unwrap_or(&of_key[0]);
            let value = (last.kind == Kind::Put).then(|| last.value(bytes));
            (last.key(bytes), value)
        })
    }

    fn push(&mut self, key: &[u8], value: &[u8], kind: Kind) {
        let mut prefix = [0; 8];
        let known = key.len().min(8);
        prefix[..known].copy_from_slice(&key[..known]);
        self.writes.push(Write {
            prefix: u64::from_be_bytes(prefix),
            start: self.bytes.len(),
            key_length: length(key),
            value_length: length(value),
            kind,
        });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }
}

impl Write {
    fn key(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..][..self.key_length as usize]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start + self.key_length as usize..][..self.value_length as usize]
    }
}

/// Keys are hashes and paths; the longest value is the list of what a block changed, of megabytes.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a key or a value is under 4 GiB")
}
