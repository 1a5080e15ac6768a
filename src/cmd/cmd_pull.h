/* cmd_pull.h: what commands that open a model by its name share with `r1 pull`. */
#ifndef R1_CMD_PULL_H
#define R1_CMD_PULL_H

#include "cmd/cmd.h"

/* Where a MODEL word means nothing here but could be pulled, and a user is at the terminal: ask,
 * and pull.  False: the user said no or it failed, which has been told; true: go on and open it. */
bool r1_cmd_offer_pull(const char *word);

#endif
