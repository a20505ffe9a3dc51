"""Contract verification: sources that people send in are compiled again and compared with the code on the chain.

| file | what |
|---|---|
| `submissions` | what is sent in, checked and made one standard JSON input, whoever's dialect it came in |
| `compilers`, `installing` | which compilers are here, how they are started, and how solc gets here |
| `compiling` | one compiler run: a process of its own, bounded in time, memory and output, without network or files |
| `sandbox`, `compile_solidity.cjs`, `compile_vyper` | what runs in that process |
| `matching` | the compiler's code against the chain's; pure |
| `judging` | one submission judged: compiled, compared, and what the comparison means; pure but for the compiler |
| `jobs` | the queue in the database |
| `saving` | what is kept of a verified contract |
| `verifier` | the task that takes jobs from the queue, one at a time |

ADR 31 says why it is so.
"""

from sdk.testnet.services.verification.compilers import Compilers, find_compilers
from sdk.testnet.services.verification.jobs import Job, get_job, submit
from sdk.testnet.services.verification.submissions import Rejected, Submission
from sdk.testnet.services.verification.verifier import Verifier

__all__ = ["Compilers", "Job", "Rejected", "Submission", "Verifier", "find_compilers", "get_job", "submit"]
