//! A fault of the disk is never the block's fault.

use super::*;

/// The state of a store whose disk fails where it is told to.
#[derive(Debug)]
struct Failing {
    state: crate::store::StateView,
    fails: fn(&Read) -> bool,
}

enum Read {
    Account(Address),
    Storage(Address),
    BlockHash,
}

impl Failing {
    fn check(&self, read: Read) -> crate::Result<()> {
        if (self.fails)(&read) {
            return Err(EngineError::Storage("the disk is gone".into()));
        }
        Ok(())
    }
}

impl DatabaseRef for Failing {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> crate::Result<Option<AccountInfo>> {
        self.check(Read::Account(address))?;
        self.state.basic_ref(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> crate::Result<Bytecode> {
        self.state.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> crate::Result<U256> {
        self.check(Read::Storage(address))?;
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> crate::Result<B256> {
        self.check(Read::BlockHash)?;
        self.state.block_hash_ref(number)
    }
}

impl crate::overlay::BaseState for Failing {
    fn has_storage(&self, address: Address) -> crate::Result<bool> {
        self.state.has_storage(address)
    }
}

#[test]
fn a_storage_fault_is_never_the_blocks_fault() {
    let engine = open(None);
    let sender = Account::of(1);
    // Init code that reads BLOCKHASH(0): the fault comes from inside the EVM.
    submit(
        &engine,
        &[
            sender.transfer(0, Address::repeat_byte(0xaa), 1),
            sender.sign_transaction(alloy_consensus::TxEip1559 {
                to: TxKind::Create,
                input: hex!("5f4000").into(),
                ..sender.call(1, 100_000)
            }),
        ],
    );
    let withdrawal = Withdrawal {
        index: 0,
        validator_index: 0,
        address: Address::repeat_byte(0xbb),
        amount: 1,
    };
    let attributes = BuildAttributes {
        withdrawals: vec![withdrawal],
        ..attributes(&engine)
    };
    let built = engine
        .build(engine.head().hash, &attributes, soon())
        .unwrap();
    assert_eq!(built.block.transactions.len(), 2);
    type Fault = fn(&Read) -> bool;
    let table: [(&str, Fault); 7] = [
        (
            "the sender",
            |read| matches!(read, Read::Account(address) if *address == Account::of(1).address),
        ),
        (
            "the recipient",
            |read| matches!(read, Read::Account(address) if *address == Address::repeat_byte(0xaa)),
        ),
        (
            "the recipient of a withdrawal",
            |read| matches!(read, Read::Account(address) if *address == Address::repeat_byte(0xbb)),
        ),
        (
            "a system contract before",
            |read| matches!(read, Read::Account(address) if *address == BEACON_ROOTS_ADDRESS),
        ),
        (
            "a system contract after",
            |read| matches!(read, Read::Account(address) if *address == WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        ),
        (
            "a system contract's storage",
            |read| matches!(read, Read::Storage(address) if *address == WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        ),
        ("a block hash", |read| matches!(read, Read::BlockHash)),
    ];
    let factory = execute::executor_factory(engine.spec().clone());
    let trie = engine.store().trie();
    let post_states = execute::PostStates::new(engine.store(), &trie);
    for (name, fails) in table {
        let base = Failing {
            state: engine.store().latest(),
            fails,
        };
        let overlay = Overlay::new(Arc::new(base), vec![]);
        let error = execute::execute(&factory, &overlay, &built.block, &post_states).unwrap_err();
        assert_eq!(
            error,
            EngineError::Storage("the disk is gone".into()),
            "{name}"
        );
    }
    let base = Failing {
        state: engine.store().latest(),
        fails: |_| false,
    };
    assert!(
        execute::execute(
            &factory,
            &Overlay::new(Arc::new(base), vec![]),
            &built.block,
            &post_states
        )
        .is_ok()
    );
}
