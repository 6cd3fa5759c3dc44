# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installation, packages and releases; see docs/releasing.md.

PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
RULESDIR   ?= $(PREFIX)/lib/udev/rules.d
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
# A release archive brings manual pages and completions with it.
BINARY     ?= build/usbagent
DOCS       ?= $(if $(wildcard dist/docs),dist/docs,build/docs)
share      := $(DESTDIR)$(PREFIX)/share
config     := $(DESTDIR)$(SYSCONFDIR)/usbagent/config.toml

# Who answers for the packages; a release names somebody.
MAINTAINER ?= usbagent maintainers <maintainers@usbagent.invalid>
# The date of everything that is made: that of the commit.
DATE       ?= $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),1)
PACK        = cd deploy/package && $(HOSTGO) run -trimpath -buildvcs=false . -version '$(VERSION)' -commit '$(COMMIT)' -date '$(DATE)' \
              -maintainer '$(MAINTAINER)' -docs ../../build/docs
OUT        ?= build/package

.PHONY: install package package-test release release-check source

install: $(if $(filter build/usbagent,$(BINARY)),build) $(if $(filter build/docs,$(DOCS)),docs) ## install below DESTDIR/PREFIX (default /usr/local), an existing configuration is kept
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/usbagent
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/bin/usbagent|$(PREFIX)/bin/usbagent|' deploy/usbagent.service >$(DESTDIR)$(UNITDIR)/usbagent.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/usbagent.service
	install -D -m 0644 deploy/udev/90-usbagent.rules $(DESTDIR)$(RULESDIR)/90-usbagent.rules
	install -D -m 0644 deploy/tmpfiles/usbagent.conf $(DESTDIR)$(TMPFILESDIR)/usbagent.conf
	[ -e $(config) ] || install -D -m 0644 $(DOCS)/config.toml $(config)
	install -D -m 0644 $(DOCS)/usbagent.8 $(share)/man/man8/usbagent.8
	install -D -m 0644 $(DOCS)/usbagent.toml.5 $(share)/man/man5/usbagent.toml.5
	install -D -m 0644 $(DOCS)/usbagent.bash $(share)/bash-completion/completions/usbagent
	install -D -m 0644 $(DOCS)/usbagent.fish $(share)/fish/vendor_completions.d/usbagent.fish
	install -D -m 0644 $(DOCS)/usbagent.zsh $(share)/zsh/site-functions/_usbagent

package: $(LINUX) docs ## .deb and .ipk for armhf, arm64 and amd64 with bills of materials and SHA256SUMS, into build/package
	rm -rf $(OUT)
	$(PACK) -out ../../$(OUT) $(addprefix ../../,$(LINUX))

# The source as it was released: with the modules and the generated pages in
# it, it needs neither network nor git.
archive = $(OUT)/usbagent-$(VERSION).tar.gz
source: docs ## the source archive with all modules, of what is committed, into build/package
	rm -rf build/source
	mkdir -p build/source/usbagent-$(VERSION)/dist $(OUT)
	git archive HEAD | tar -C build/source/usbagent-$(VERSION) -xf -
	cd build/source/usbagent-$(VERSION) && $(HOSTGO) mod vendor
	cp -r build/docs build/source/usbagent-$(VERSION)/dist/docs
	printf 'VERSION := %s\nCOMMIT := %s\nDATE := %s\n' '$(VERSION)' '$(COMMIT)' '$(DATE)' >build/source/usbagent-$(VERSION)/dist/version.mk
	tar -C build/source --sort=name --format=gnu --mtime=@$(DATE) --owner=root:0 --group=root:0 --mode=u=rwX,go=rX -cf - usbagent-$(VERSION) | gzip -9n >$(archive)
	rm -rf build/source

release: OUT = build/release
release: release-check $(LINUX) $(DESK) docs ## all artefacts of VERSION=, into build/release: see docs/releasing.md
	rm -rf $(OUT)
	$(MAKE) source OUT=$(OUT) VERSION='$(VERSION)' COMMIT='$(COMMIT)' DATE='$(DATE)'
	$(PACK) -binaries -layer ../yocto/meta-usbagent -out ../../$(OUT) $(addprefix ../../,$(LINUX) $(DESK))
	@echo "$(OUT) has the release $(VERSION) of commit $(COMMIT)"

release-check:
	@[ '$(origin VERSION)' = 'command line' ] || { echo 'release: say which: make release VERSION=1.2.3' >&2; exit 1; }
	@printf '%s\n' '$(VERSION)' | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?' || { echo 'release: $(VERSION) is no version as in semver.org' >&2; exit 1; }
	@[ -z "$$(git status --porcelain)" ] || { echo 'release: something is not committed' >&2; exit 1; }
	@grep -Eq '^## $(subst .,\.,$(VERSION)) \(20[0-9]{2}-[0-9]{2}-[0-9]{2}\)$$' CHANGELOG.md || { echo 'release: CHANGELOG.md has no heading "## $(VERSION) (DATE)"' >&2; exit 1; }
	@case '$(MAINTAINER)' in *.invalid*) echo 'release: MAINTAINER="Name <mail>" says who answers for the packages' >&2; exit 1 ;; esac

package-test: ## the tests of what makes the packages (a module of its own; test/package looks at the packages)
	cd deploy/package && $(GO) vet ./... && $(GO) test ./...
