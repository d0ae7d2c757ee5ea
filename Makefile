EXTENSION = burn_note
MODULE_big = burn_note
DATA = $(wildcard burn_note--*.sql)
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" burn_note.control)
OBJS = burn_note.o $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

# Only where libsodium is not in the compiler's own path does this say anything
PG_CPPFLAGS := $(shell pkg-config --cflags libsodium 2>/dev/null)
# The library tells burn_check() which version it is; the control file says that once
PG_CPPFLAGS += -DBURN_VERSION='"$(EXTVERSION)"'
SHLIB_LINK = -lsodium

# fmgr's functions rarely use every parameter. (The tests build with COPT=-Werror: a
# compiler that is newer than this does not keep a user from building.)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter

# make CC=clang: a server that gcc built hands on gcc's options and attributes
ifneq ($(findstring clang,$(CC)),)
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument \
	-Wno-ignored-attributes
endif

REGRESS_OPTS = --encoding=UTF8
REGRESS = $(sort $(basename $(notdir $(wildcard sql/*.sql))))
ISOLATION = $(sort $(basename $(notdir $(wildcard specs/*.spec))))
TAP_TESTS := $(if $(wildcard t/*.pl),1)

# Everything that the control builds leave behind
EXTRA_CLEAN = build

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)
else
# No server to build for yet: make demo, make test and make deps get one
all install installcheck clean:
	@echo >&2 "$(PG_CONFIG) does not lead to PostgreSQL's server headers."
	@echo >&2 "Run 'make deps', or give the right one: make PG_CONFIG=/path/to/pg_config"
	@exit 1
endif

$(OBJS) $(OBJS:.o=.bc): $(wildcard *.h src/*.h) burn_note.control

.PHONY: demo web test test-site deps bench soak majors indent

# Shows the main job on a private server, which is removed afterwards.
# make demo FILE=path burns a file of yours (its copy, that is).
demo:
	@tools/demo

# The web app on this machine, until Ctrl-C
web:
	@tools/web

# Everything that is tested, on private servers
test:
	@tools/test

# An update of a whole site while it is used; by sudo, where this is not root
test-site:
	@tools/test site

# Ten minutes of everything at once, and then the books
soak:
	@bench/soak

# The same for every major of PostgreSQL, each in a root of its own
majors:
	@tools/majors

# What make test needs, from Debian's packages
deps:
	@tools/deps test

# Lays the C out as PostgreSQL's own is. tools/indent check only says what would change.
indent:
	@tools/indent

# What the notes cost, beside other ways to do it
bench:
	@bench/run

# The controls: libraries without one protection, in which the tests must find what it
# prevents; and those that meet what is not here: a server that is too old, tables that
# an earlier version made. Each has its own copy of the sources, so that no object is shared.
CONTROLS = no-fuse check-wal old-server later-column
.PHONY: $(CONTROLS)
no-fuse: CONTROL = BURN_TEST_NO_FUSE
check-wal: CONTROL = BURN_TEST_CHECK_WAL
old-server: CONTROL = BURN_TEST_OLD_SERVER
later-column: CONTROL = BURN_TEST_LATER_COLUMN
$(CONTROLS):
	mkdir -p build/$@/src
	cp -p Makefile $(EXTENSION).control $(DATA) $(wildcard *.[ch]) build/$@
	cp -p $(wildcard src/*.[ch]) build/$@/src
	$(MAKE) -C build/$@ COPT="-Werror -D$(CONTROL)" DESTDIR=$(CURDIR)/build/$@/stage install
