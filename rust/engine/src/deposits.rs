//! The strict layout of EIP-6110 deposit events. The executor decodes them leniently, which would make this client accept
//! blocks that others refuse.

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{Address, B256, U256, b256};

use crate::{Result, block::invalid};

/// `keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)")`.
const DEPOSIT_EVENT: B256 =
    b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
const DEPOSIT_EVENT_BYTES: usize = 576;
/// Where each field begins with its length, and how long it is: public key, withdrawal credentials, amount, signature,
/// index. Source: `is_valid_deposit_event_data`, EIP-6110.
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// Check every deposit event of a block.
pub(crate) fn validate_deposit_events(
    contract: Address,
    receipts: &[ReceiptEnvelope],
) -> Result<()> {
    for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
        if log.address == contract
            && log.topics().first() == Some(&DEPOSIT_EVENT)
            && !is_canonical(&log.data.data)
        {
            return Err(invalid(
                "deposit_event",
                format!("the deposit event {} has another layout", log.data.data),
            ));
        }
    }
    Ok(())
}

fn is_canonical(data: &[u8]) -> bool {
    let word = |position: usize| data.get(position..position + 32).map(U256::from_be_slice);
    data.len() == DEPOSIT_EVENT_BYTES
        && FIELDS.iter().enumerate().all(|(index, (offset, length))| {
            word(index * 32) == Some(U256::from(*offset))
                && word(*offset) == Some(U256::from(*length))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Vec<u8> {
        let mut data = vec![0; DEPOSIT_EVENT_BYTES];
        for (index, (offset, length)) in FIELDS.iter().enumerate() {
            data[index * 32..][..32].copy_from_slice(&U256::from(*offset).to_be_bytes::<32>());
            data[*offset..][..32].copy_from_slice(&U256::from(*length).to_be_bytes::<32>());
        }
        data
    }

    #[test]
    fn only_the_layout_of_the_contract_passes() {
        assert!(is_canonical(&event()));
        for position in (0..160).chain(FIELDS.iter().flat_map(|(offset, _)| *offset..*offset + 32))
        {
            let mut changed = event();
            changed[position] ^= 1;
            assert!(!is_canonical(&changed), "{position}");
        }
        for length in [0, 575, 577, 608] {
            let mut changed = event();
            changed.resize(length, 0);
            assert!(!is_canonical(&changed), "{length}");
        }
    }

    #[test]
    fn what_the_depositor_chooses_is_free() {
        let mut changed = event();
        changed[200] = 7;
        assert!(is_canonical(&changed));
    }
}
