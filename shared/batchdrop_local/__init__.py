"""The same topology on one machine: embedded or on Google's emulators, with the Gemini emulator."""
