# SPDX-License-Identifier: GPL-3.0-or-later
#
# The emulated board, see docs/board.md. BOOT=cold boots from a new card.

.PHONY: board plug board-test board-powercut

board: ## the emulated board, its console on this terminal (the first time takes minutes)
	$(GO) build -o build/board-tool ./test/board/cmd/board
	$(ROOT) build/board-tool run $(BOOT)

plug: ## put a stick with the files of DIR into the board that "make board" runs; without DIR pull it
	$(GO) build -o build/board-tool ./test/board/cmd/board
	$(ROOT) build/board-tool plug $(DIR)

board-test: export USBAGENT_REQUIRE = root,board,tools
board-test: export USBAGENT_BOARD = 1
board-test: ## only the tests on the emulated board, with the time of each
	$(GO) test -count=1 -timeout 80m -v $(TESTEXEC) ./test/board

board-powercut: export USBAGENT_REQUIRE = root,board,tools
board-powercut: export USBAGENT_POWERCUTS = 100
board-powercut: export USBAGENT_BOARD = 1
board-powercut: ## a hundred power cuts on the emulated board, and every write replayed (an hour)
	$(GO) test -count=1 -timeout 180m -v $(TESTEXEC) -run 'TestBoardPowerCuts|TestPCWritesReplayed' ./test/board
