"""Images and masks in folders, in any arrangement, or listed in a manifest."""
