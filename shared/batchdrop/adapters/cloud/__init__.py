"""The ports on Google Cloud: Cloud Storage, Firestore, Pub/Sub."""
