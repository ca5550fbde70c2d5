# SPDX-License-Identifier: GPL-2.0-or-later
# Plain make, no configure. V=1 shows commands, SAN=1 builds with ASan and UBSan in a tree of its own,
# CI=1 turns warnings into errors. `make help` lists the targets.

# The architecture: program = folders. A folder may use what stands to its right, never to its left.
sortied           = daemon firewall netlink api trust policy common
sortie-net        = daemon api trust common
sortie-control    = control-plane relay firewall netlink api trust policy common
sortie            = cli api trust policy common
sortie-relay-load = relay common
sortie-guard      = firewall netlink common
PROGRAMS := sortied sortie-net sortie-control sortie sortie-relay-load sortie-guard

# Where a program's main() is.
sortied_MAIN           = daemon/sortied.c
sortie-net_MAIN        = daemon/sortie-net.c
sortie-control_MAIN    = control-plane/sortie-control.c
sortie_MAIN            = cli/sortie.c
sortie-relay-load_MAIN = relay/sortie-relay-load.c
sortie-guard_MAIN      = firewall/sortie-guard.c

# Which folder knows which library.
common_PKG        = libsodium
policy_PKG        = yaml-0.1 jansson
trust_PKG         = jansson libsodium
api_PKG           = jansson libsystemd libmicrohttpd libcurl
netlink_PKG       = libmnl libnl-3.0 libnl-route-3.0 libnetfilter_conntrack
firewall_PKG      = libmnl libnftnl
relay_PKG         = libbpf
daemon_PKG        = libsystemd jansson libcap-ng libseccomp
control-plane_PKG = libsystemd jansson sqlite3 libcap-ng libseccomp
cli_PKG           = jansson libcurl
FOLDERS := common policy trust api netlink firewall relay daemon control-plane cli

PREFIX  ?= /usr/local
DESTDIR ?=
SBINDIR ?= $(PREFIX)/sbin
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
ETCDIR  ?= /etc/sortie
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
VERSION := 0.1.0

B := build$(if $(SAN),/san)
CC      ?= gcc
CLANG   ?= clang
PKG     ?= pkg-config
WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wundef \
	-Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wswitch-enum -Wno-unused-parameter \
	$(if $(CI),-Werror)
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection -fPIE
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS  ?= -O2 -g
CPPFLAGS += -I. -I$(B) -D_GNU_SOURCE -DSORTIE_VERSION='"$(VERSION)"'
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(if $(SAN),$(SANFLAGS),$(HARDEN)) -MMD -MP
ALL_LDFLAGS = $(LDFLAGS) $(if $(SAN),$(SANFLAGS),-pie -Wl,-z,relro,-z,now) -Wl,--as-needed
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

MAINS   := $(foreach p,$(PROGRAMS),$($(p)_MAIN))
folder_sources = $(filter-out $(MAINS) %.bpf.c,$(sort $(wildcard $(1)/*.c)))
object = $(patsubst %.c,$(B)/%.o,$(1))
# pkg-config once a folder, not once a file
$(foreach f,$(FOLDERS),$(eval $(f)_CFLAGS := $(if $($(f)_PKG),$(shell $(PKG) --cflags $($(f)_PKG) 2>/dev/null))))
$(foreach f,$(FOLDERS),$(eval $(f)_LIBS := $(if $($(f)_PKG),$(shell $(PKG) --libs $($(f)_PKG) 2>/dev/null))))
PKG_CFLAGS := $(sort $(foreach f,$(FOLDERS),$($(f)_CFLAGS)))

PROGRAM_FILES := $(addprefix $(B)/,$(foreach p,$(PROGRAMS),$(if $(wildcard $($(p)_MAIN)),$(p))))

.PHONY: all man deps check check-unit check-fuzz check-packaging check-net check-kernel check-kernel-full check-san \
	oracle demo bench bench-uml lint format fuzz install uninstall deb clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all: $(PROGRAM_FILES)	## build all programs under build/

# --- objects and archives, one archive a folder ----------------------------------------------------
$(B)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(ALL_CFLAGS) -c -o $@ $<

define folder_rules
$(B)/$(1).a: $(call object,$(call folder_sources,$(1)))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	$(Q)rm -f $$@; $(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define program_rules
$(B)/$(1): $(call object,$($(1)_MAIN)) $(foreach f,$($(1)),$(B)/$(f).a)
	$$(call say,LD,$$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$^ $(sort $(foreach f,$($(1)),$($(f)_LIBS)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# --- the eBPF program and its skeleton ------------------------------------------------------------
BPF_ARCH := $(shell uname -m)
$(B)/relay/relay.bpf.o: relay/relay.bpf.c $(wildcard relay/*.h)
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g -Wall -Wextra -Werror -target bpf -I. -I/usr/include/$(BPF_ARCH)-linux-gnu -c -o $@ $<

$(B)/relay/relay.skel.h: $(B)/relay/relay.bpf.o
	$(call say,SKEL,$@)
	$(Q)PATH=$$PATH:/usr/sbin bpftool gen skeleton $< name relay_bpf > $@

$(call object,$(call folder_sources,relay) relay/sortie-relay-load.c): $(if $(wildcard relay/relay.bpf.c),$(B)/relay/relay.skel.h)

# --- tests ----------------------------------------------------------------------------------------
# tests/unit/X_test.c links with every folder; X_test_LDFLAGS may add --wrap options.
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/*_test.c)))
TEST_TOOLS := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(sort $(wildcard tests/tools/*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
ALL_ARCHIVES := $(foreach f,$(FOLDERS),$(if $(wildcard $(f)/*.c),$(B)/$(f).a))
ALL_LIBS := $(sort $(foreach f,$(FOLDERS),$($(f)_LIBS)))
-include tests/unit/flags.mk

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(ALL_ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $($*_LDFLAGS) -o $@ $< -Wl,--start-group $(ALL_ARCHIVES) -Wl,--end-group $(ALL_LIBS) -lcmocka

$(B)/tests/tools/%: $(B)/tests/tools/%.o $(ALL_ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(ALL_ARCHIVES) -Wl,--end-group $(ALL_LIBS)

$(B)/bench/stream: bench/stream.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 -O2 $(WARN) -o $@ $<

# A fuzz target: with libFuzzer in build/fuzz/, and with a replaying main() for the corpus everywhere.
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(ALL_ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(B)/tests/fuzz/replay.o -Wl,--start-group $(ALL_ARCHIVES) -Wl,--end-group $(ALL_LIBS)

build/fuzz/%: tests/fuzz/%.c $(foreach f,$(FOLDERS),$(call folder_sources,$(f))) build/relay/relay.skel.h
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-I. -Ibuild -D_GNU_SOURCE -DSORTIE_VERSION='"$(VERSION)"' $(PKG_CFLAGS) -o $@ $(filter %.c,$^) $(ALL_LIBS)

check: all $(UNIT_TESTS) $(TEST_TOOLS) $(addprefix $(B)/tests/fuzz/,$(FUZZERS))	## every test: unit, fuzz corpus, namespaces, real kernels
	$(Q)tests/run unit fuzz packaging net oracle vm

check-unit: $(UNIT_TESTS)	## pure tests, seconds
	$(Q)B=$(B) tests/run unit

check-fuzz: $(addprefix $(B)/tests/fuzz/,$(FUZZERS))	## replay of the fuzz corpus
	$(Q)B=$(B) tests/run fuzz

check-packaging: all	## make install, make deb, units
	$(Q)tests/run packaging

check-net: all $(TEST_TOOLS)	## network namespaces (root)
	$(Q)B=$(B) tests/run net

check-kernel: all $(TEST_TOOLS)	## the tagged tests on real kernels 6.1 and 6.12, and the package, in QEMU
	$(Q)B=$(B) tests/run vm

check-kernel-full: all $(TEST_TOOLS)	## everything in tests/net, the package and 20 boots, on both kernels: hours
	$(Q)B=$(B) tests/run vm-full

check-san:	## unit, fuzz and namespace tests under ASan and UBSan
	$(Q)$(MAKE) SAN=1 all check-unit check-fuzz check-net

oracle: all $(TEST_TOOLS)	## the policy oracle, long: 500 policies x 100,000 packets
	$(Q)B=$(B) ORACLE_POLICIES=500 ORACLE_PACKETS=100000 tests/run oracle

demo: all	## the main job, shown
	$(Q)./demo

bench: all $(TEST_TOOLS)	## reproducible comparisons; writes bench/results.json
	$(Q)bench/run

bench-uml: all $(TEST_TOOLS)	## the firewall on kernel WireGuard, in a kernel that runs as a program and is built once: 10 minutes
	$(Q)B=$(B) bench/run bench/uml/firewall.sh

fuzz: $(addprefix build/fuzz/,$(FUZZERS))	## FUZZ_SECONDS (60) of libFuzzer for every target
	$(Q)tests/fuzz/run $(FUZZERS)

C_FILES := $(wildcard $(addsuffix /*.[ch],$(FOLDERS)) tests/*/*.[ch] bench/*.[ch])
lint:	## clang-format, clang warnings, clang-tidy, gcc -fanalyzer
	$(Q)tests/lint $(C_FILES)

format:	## rewrite all C files in the house style
	$(Q)clang-format -i $(C_FILES)

deps:	## install what building and testing needs (Debian 12, root)
	$(Q)packaging/install-deps

# --- installing -----------------------------------------------------------------------------------
# What goes where, once: install and uninstall both read these lines. FROM:TO:MODE; units name the programs' folder.
UNITS := $(sort $(wildcard packaging/systemd/*))
MAN_PAGES := $(patsubst man/%.scd,$(B)/man/%,$(sort $(wildcard man/*.scd)))
INSTALLED = $(foreach f,$(filter-out $(B)/sortie,$(PROGRAM_FILES)),$(f):$(SBINDIR)/$(notdir $(f)):0755) \
	$(B)/sortie:$(BINDIR)/sortie:0755 \
	$(foreach f,$(UNITS),$(B)/$(f):$(UNITDIR)/$(notdir $(f)):0644) \
	packaging/sysusers.d/sortie.conf:$(SYSUSERSDIR)/sortie.conf:0644 \
	packaging/tmpfiles.d/sortie.conf:$(TMPFILESDIR)/sortie.conf:0644 \
	$(foreach f,$(MAN_PAGES),$(f):$(MANDIR)/man$(subst .,,$(suffix $(f)))/$(notdir $(f)):0644) \
	$(B)/completion.bash:$(BASHDIR)/sortie:0644 \
	$(B)/completion.zsh:$(ZSHDIR)/_sortie:0644 \
	$(B)/completion.fish:$(FISHDIR)/sortie.fish:0644
# Never written over: they are the operator's.
CONFIGURATION := $(sort $(wildcard packaging/etc/*))

$(B)/man/%: man/%.scd
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)scdoc <$< >$@

man: $(MAN_PAGES)	## the manual pages, under build/man/

COMPLETIONS := $(addprefix $(B)/completion.,bash zsh fish)
$(COMPLETIONS): $(B)/completion.%: $(B)/sortie
	$(Q)$< completion $* >$@

$(B)/packaging/systemd/%: packaging/systemd/% FORCE
	@mkdir -p $(@D)
	$(Q)sed 's,/usr/sbin/,$(SBINDIR)/,g' $< >$@
FORCE:

install: all $(MAN_PAGES) $(COMPLETIONS) $(addprefix $(B)/,$(UNITS))	## install programs, units and man pages under DESTDIR
	$(Q)for line in $(INSTALLED); do \
		from=$${line%%:*} rest=$${line#*:}; \
		install -D -m $${rest##*:} $$from $(DESTDIR)$${rest%:*} || exit 1; \
	done
	$(Q)for file in $(CONFIGURATION); do \
		to=$(DESTDIR)$(ETCDIR)/$${file##*/}; \
		[ -e $$to ] || install -D -m 0644 $$file $$to || exit 1; \
	done

uninstall:	## remove what install installed; changed configuration stays
	$(Q)for line in $(INSTALLED); do rest=$${line#*:}; rm -f $(DESTDIR)$${rest%:*}; done
	$(Q)for file in $(CONFIGURATION); do \
		to=$(DESTDIR)$(ETCDIR)/$${file##*/}; \
		! cmp -s $$file $$to || rm -f $$to; \
	done
	$(Q)rmdir --ignore-fail-on-non-empty $(DESTDIR)$(ETCDIR) 2>/dev/null || true

deb:	## a Debian package in build/deb/
	$(Q)$(MAKE) all && packaging/deb/build $(VERSION)

clean:	## remove build/
	$(Q)rm -rf build

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
