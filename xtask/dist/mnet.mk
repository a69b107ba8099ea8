# Builds unikernels with make:
#
#     include $(MNET)/share/mnet/mnet.mk
#     all: service.spt
#
# service.spt is linked from service.o, manifest.o and libmnet.a; what else it needs is said by
# `service.spt: other.o`. The devices are those of manifest.json. The same for service.hvt.
#
# With `MNET_POSIX = 1` in front, programs have the headers and the library of docs/posix.md.
#
# CC is the wrapper of this installation unless it is set, for example to upstream's. CPPFLAGS,
# CFLAGS, LDFLAGS and LDLIBS mean what they mean to make.

MNET_PREFIX := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../..)
SOLO5_ELFTOOL ?= $(MNET_PREFIX)/bin/solo5-elftool

ifeq ($(origin CC),default)
CC := $(MNET_PREFIX)/bin/x86_64-solo5-none-static-cc
endif

MNET_CPPFLAGS := -I$(MNET_PREFIX)/include/solo5
MNET_LDLIBS := -L$(MNET_PREFIX)/lib/x86_64-solo5-none-static -lmnet -lsolo5_mem

ifneq ($(MNET_POSIX),)
MNET_CPPFLAGS := -I$(MNET_PREFIX)/include/mnet-posix $(MNET_CPPFLAGS)
MNET_LDLIBS := -L$(MNET_PREFIX)/lib/x86_64-solo5-none-static -lmnet-posix $(MNET_LDLIBS)
endif

# Pattern rules only: the first target of the makefile stays the one that make makes.

%.o: %.c
	$(CC) $(CPPFLAGS) $(MNET_CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Kept, although nobody asked for them.
.PRECIOUS: %.o manifest%c

# manifest.c is made of manifest.json, manifest-two.c of manifest-two.json.
manifest%c: manifest%json
	$(SOLO5_ELFTOOL) gen-manifest $< $@

%.spt: %.o manifest.o
	$(CC) -z solo5-abi=spt $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(MNET_LDLIBS)

%.hvt: %.o manifest.o
	$(CC) -z solo5-abi=hvt $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(MNET_LDLIBS)
