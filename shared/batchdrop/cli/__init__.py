"""The command line: `batchdrop --help`. Each module is a group of commands, imported when one of them is called."""
