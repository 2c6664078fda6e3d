"""Why a model of survival says what it says; a method a file."""
