/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands: each takes its own name as argv[0] and returns the exit code. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

int cmd_serve(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_topology(int argc, char **argv);
int cmd_locks(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_agent(int argc, char **argv);

#endif
